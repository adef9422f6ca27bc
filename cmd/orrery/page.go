package main

import "io/fs"

// page is the bundle of the web page, nil while there is none.
func page() fs.FS { return nil }
