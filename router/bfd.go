package router

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"sync"
)

// bfdctl tells whether FRR's bfdd has a control socket of its own, whose path
// it must be given so that nodes do not share one. FRR 8 and 9 have; FRR 10 has
// no such option.
var bfdctl = sync.OnceValue(func() bool {
	help, _ := exec.Command(filepath.Join(frrDir, "bfdd"), "--help").CombinedOutput()
	return bytes.Contains(help, []byte("--bfdctl"))
})
