// Package endtoend tests what users do on Kubernetes: they apply deploy/ and a
// scenario file, and look at what runs. All of it is real, but for Multus, whose
// part the stand-in of test/cluster plays.
package endtoend
