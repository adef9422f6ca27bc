package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"orrery.dev/orrery/kube/cni"
	"orrery.dev/orrery/node"
)

// sandbox is an attachment of a pod that was made, or was about to be.
type sandbox struct {
	cni.Attachment
	Network   string           `json:"network"`
	Namespace string           `json:"netns"`
	Identity  node.NamespaceID `json:"identity"`
	Pod       cni.Pod          `json:"pod"`
	Scenario  ID               `json:"scenario"`
	UID       string           `json:"uid"`
	Node      string           `json:"node"`
}

// there tells whether the sandbox's namespace is still the one that it was.
func (s *sandbox) there() bool {
	id, err := node.IdentifyNamespace(s.Namespace)
	return err == nil && id == s.Identity
}

// journal keeps sandboxes in a directory, one file each.
type journal struct{ dir string }

// suffix of a file that is whole.
const suffix = ".json"

func (j *journal) path(a cni.Attachment) string {
	sum := sha256.Sum256([]byte(a.Container + "\x00" + a.Interface))
	return filepath.Join(j.dir, hex.EncodeToString(sum[:16])+suffix)
}

// put writes a sandbox down. When it returns nil the file is there after a crash of the
// agent and of the host.
func (j *journal) put(s *sandbox) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replace(j.path(s.Attachment), b)
}

func (j *journal) remove(a cni.Attachment) error {
	if err := os.Remove(j.path(a)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// all sandboxes that were written down. Files that are no such thing are an error, and what
// could be read is given nevertheless.
func (j *journal) all() (list []*sandbox, err error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(j.dir, e.Name())
		if !strings.HasSuffix(e.Name(), suffix) {
			_ = os.Remove(path) // half written when an agent was killed
			continue
		}
		s := new(sandbox)
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, s)
		}
		if err == nil && j.path(s.Attachment) != path {
			err = errors.New("it is another sandbox's")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("agent: %s cannot be read, its sandbox is forgotten: %w", path, err))
			continue
		}
		list = append(list, s)
	}
	return list, errors.Join(errs...)
}

// replace writes a file so that it is whole or as before, whatever happens.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
