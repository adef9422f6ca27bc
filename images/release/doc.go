// Package release defines Orrery's container images.
//
//	orrery.dev/orrery:VERSION          the program and the operator
//	orrery.dev/orrery-router:VERSION   the program, orrery-init, BIRD and FRR, a shell and ip
package release
