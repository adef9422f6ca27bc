package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// memory is a directory with what was last heard of a scenario: how it stood, and its
// packed file. An agent that is started again goes on by it at once, whether the API
// server answers or not, and hears later what has changed.
type memory struct{ dir string }

const (
	stoodFile    = "scenario.json"
	packedPrefix = "packed-"
)

func (m memory) packed(revision string) string {
	return filepath.Join(m.dir, packedPrefix+revision)
}

// keep writes a scenario down. Its packed file is written if it is given, and earlier ones
// are removed.
func (m memory) keep(s *Scenario, packed []byte) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if packed != nil {
		if err := replace(m.packed(s.Revision), packed); err != nil {
			return err
		}
	}
	if err := replace(filepath.Join(m.dir, stoodFile), b); err != nil {
		return err
	}
	if packed == nil {
		return nil
	}
	entries, err := os.ReadDir(m.dir)
	for _, e := range entries {
		if r, ok := strings.CutPrefix(e.Name(), packedPrefix); ok && r != s.Revision {
			err = errors.Join(err, os.Remove(filepath.Join(m.dir, e.Name())))
		}
	}
	return err
}

// recall is what was kept last.
func (m memory) recall() (s Scenario, packed []byte, err error) {
	b, err := os.ReadFile(filepath.Join(m.dir, stoodFile))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err == nil && s.Port == 0 {
		err = errors.New("it has no UDP port")
	}
	if err == nil && (s.UID != filepath.Base(m.dir) || s.Revision != filepath.Base(s.Revision)) {
		err = errors.New("it is another scenario's")
	}
	if err == nil {
		packed, err = os.ReadFile(m.packed(s.Revision))
	}
	if err != nil {
		return Scenario{}, nil, fmt.Errorf("agent: what is kept of a scenario in %s: %w", m.dir, err)
	}
	return s, packed, nil
}
