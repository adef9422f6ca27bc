package celestrak

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// CacheDir is the usual folder of cached answers: celestrak in the folder
// orrery in the user's cache folder (XDG_CACHE_HOME, else ~/.cache).
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for cached files: %w; set XDG_CACHE_HOME", err)
	}
	return filepath.Join(dir, "orrery", "celestrak"), nil
}

// entry is a cached answer. Its file is the SHA-256 of what follows, a line of
// JSON, and the body: what is known of an answer can never stand beside
// another's body, and a damaged file is known as such.
type entry struct {
	URL          string
	Fetched      time.Time
	Checked      time.Time
	LastModified string `json:",omitempty"` // as the server said it, to ask with
	ETag         string `json:",omitempty"`

	body []byte
}

// fresh tells whether CelesTrak need not be asked. What was checked in the
// future, by a clock that has been set back since, is not fresh.
func (e *entry) fresh(now time.Time) bool {
	age := now.Sub(e.Checked)
	return age >= 0 && age < Fresh
}

// cache is a folder of entries, or none.
type cache struct{ dir string }

func (c cache) path(url string) string {
	sum := sha256.Sum256([]byte(url))
	return filepath.Join(c.dir, hex.EncodeToString(sum[:16]))
}

// load returns nil if there is no entry, or none that can be trusted: a cache
// that is damaged is as good as empty.
func (c cache) load(url string) *entry {
	if c.dir == "" {
		return nil
	}
	data, err := os.ReadFile(c.path(url))
	if err != nil || len(data) > 2*MaxSize {
		return nil
	}
	said, rest, _ := bytes.Cut(data, []byte("\n"))
	if string(said) != sum(rest) {
		return nil
	}
	head, body, _ := bytes.Cut(rest, []byte("\n"))
	e := new(entry)
	if json.Unmarshal(head, e) != nil || e.URL != url {
		return nil
	}
	e.body = body
	return e
}

func (c cache) store(url string, e *entry) error {
	if c.dir == "" {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("cached answers: %w", err)
	}
	head, err := json.Marshal(e)
	if err != nil {
		return err
	}
	rest := append(append(head, '\n'), e.body...)
	return WriteFile(c.path(url), append([]byte(sum(rest)+"\n"), rest...))
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
