package operator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"time"

	"orrery.dev/orrery/router"
	"orrery.dev/orrery/scenario"
)

// definition is all of a scenario that a node's pod depends on. The operator's
// own settings are not in it: a new version of the operator with another image
// replaces no pod of a network that runs. Nor does one whose scenarios have more
// fields, see hash.
type definition struct {
	Index            int
	Ports            []router.Link
	Prefix           netip.Prefix
	IPv4             bool
	MTU              int
	SourceValidation string
	Routing          scenario.Routing // sparse
	Area, Template   string
	Routes           []netip.Prefix
	Commands         []command
	Group            scenario.PodGroup // sparse
}

type command struct {
	Name      string
	Argv, Env []string
	Delay     time.Duration
	Restart   string
}

// hash of a definition, in which a field that is not set is as if there were no such
// field: what a later version adds changes the hashes of those only that use it.
func hash(definition any) (string, error) {
	b, err := json.Marshal(definition)
	if err != nil {
		return "", err
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		return "", err
	}
	if b, err = json.Marshal(pruned(tree)); err != nil { // keys in order
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:10]), nil
}

// pruned is a JSON value without members of objects that are zero or empty; nil if it is
// so itself. Elements of lists keep their places.
func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if v[key] = pruned(member); v[key] == nil {
				delete(v, key)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = pruned(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}

// sparse is a copy of a part of a scenario in which what has its default is not set.
func sparse[T any](part T) (out T, err error) {
	b, err := json.Marshal(part)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return out, err
	}
	scenario.Undefault(&out)
	return out, nil
}
