// Package web holds the page: what a browser gets from "orrery up --listen" and
// "orrery plan --web".
//
// The page is written in TypeScript (src) and built by Vite into dist, which is
// committed and embedded here, so that who builds Orrery needs Go and nothing else.
// "make web" builds it anew; CI refuses a dist that is not what its sources give.
// docs/web.md says how the page works and how it is tested.
package web

import (
	"embed"
	"io/fs"
)

// all: names with an underscore belong to it as well.
//
//go:embed all:dist
var dist embed.FS

// Files are the page's files, index.html at the root. They ask for nothing from other
// hosts, and hold nothing of a run: what they show comes from the API of the server
// that they came from.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant
	}
	return files
}
