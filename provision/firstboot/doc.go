// Package firstboot is what runs on a node of an image, in two lives of one small program:
//
//	Init, the first process of the initial file system:
//	    modules ─▶ port up ─▶ DHCPv6 ─▶ configuration ─▶ root fetched, checked, mounted ─▶ /sbin/init
//	Node, a service of the root:
//	    server reached ─▶ limits ─▶ the check ─▶ the role ─▶ ready
//
// Each step is a stage that is reported to the server; what fails is reported with the last lines of the
// kernel's log, and tried again with a new token, for nobody stands beside the machine.
//
// The first life trusts the server only for what is not signed: the root is refused unless the manifest has a signature of
// the key that is built into the initial file system (KeyFile), if one is.
//
// # Caveats
//
// The root lives in memory, and so does what is written to it: a tmpfs above a compressed image. A
// machine that is installed to its disk boots from there and keeps its configuration on
// the disk; it asks the server for nothing, and reports to it when it answers.
package firstboot
