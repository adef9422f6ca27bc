package main

import (
	"io/fs"

	"orrery.dev/orrery/web"
)

// page is the bundle of the web page.
func page() fs.FS { return web.Files() }
