// Package doctor says whether a host can run a scenario, and what to do where
// it cannot.
//
// # Model
//
//	Plan ──NeedOf──▶ Need ┐
//	                      ├──Examine──▶ []Finding ──▶ table, exit code
//	Host ──Gather──▶ Facts┘
//
// Need and Facts are plain values. Examine compares them and does nothing else,
// so every verdict can be tested on any host. Only a Host looks at the machine:
// System is the real one.
//
// A finding is missing if the run would fail or would be useless, and a note
// if the run works but less well than it could, or if the emulator mends it by
// itself when it starts.
//
// # Where the numbers are from
//
// Measured on the development machine (Debian 12, Linux 6.18, 2 cores): 2,000
// namespaces with 5 TAPs each hold 1.35 GB of kernel memory, so 0.7 MB a node;
// BIRD 2.0.12 holds 0.8 MB (PSS), FRR 8.4.4's zebra 7 MB and isisd 4 MB; 200
// BIRD routers converge within 20 s on 2 cores, while 1,584 held 18 % of their
// routes after 3 minutes. The limits of neighbours, processes and files are the
// kernel's (Documentation/networking/ip-sysctl.rst, admin-guide/sysctl).
package doctor
