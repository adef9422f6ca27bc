//go:build !linux

package pod

import "errors"

// bindOver needs Linux, as pods do.
func bindOver(_ string, places []string) error {
	if len(places) == 0 {
		return nil
	}
	return errors.New("a node's directory in the place of others needs Linux")
}
