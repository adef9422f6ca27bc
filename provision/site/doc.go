// Package site is the file format of "orrery provision": one segment, what is served on
// it, and which machines are expected there. It is read by the same parser as a
// scenario, with the same strictness and the same messages.
//
// Two things are derived here, so that they are the same wherever they are asked for:
// which rule a machine boots by (Choose), and the address of a machine that the
// file gives none (Derive).
package site
