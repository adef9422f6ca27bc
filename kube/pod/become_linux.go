package pod

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Become replaces the calling process. It returns only if that fails.
func (l Launch) Become() error {
	if l.Nice != 0 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, l.Nice); err != nil {
			return fmt.Errorf("set the priority to %d: %w", l.Nice, err)
		}
	}
	if err := os.Chdir(l.Dir); err != nil {
		return err
	}
	return fmt.Errorf("become %s: %w", l.Argv[0], unix.Exec(l.Argv[0], l.Argv, os.Environ()))
}
