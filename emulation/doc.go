// Package emulation binds plan, fabric, nodes and routers under one clock. It
// is the only place where the parts meet.
//
//	plan ──windows──▶ director ──wires, carriers──▶ fabric
//	                     │                             │ frames
//	                     ├──topology──▶ oracle ──▶ node (kernel routes)
//	                     └──events──▶ log              │
//	       prober ◀── echo replies, kernel paths ──────┘
//
// The director holds the links of this moment. It learns of contacts a window
// ahead, applies each at its instant, and tells the others of it; the wires
// themselves carry their contact's exact start and end, so that a late
// director never lets a frame pass outside of its contact.
package emulation
