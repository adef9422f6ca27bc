package firstboot

import (
	"encoding/json"
	"path"
	"strings"
)

// ModulesIndex says how the modules of ModulesDir are loaded.
const ModulesIndex = ModulesDir + "/index.json"

// Modules is the content of ModulesIndex. Modules are called by their names, in which '_' stands for '-'.
type Modules struct {
	Always []string `json:"always"` // loaded whatever the hardware
	// Needs are all modules with those that must be loaded before each, in order.
	Needs map[string][]string `json:"needs"`
	// Aliases are patterns of hardware, and the modules for them.
	Aliases [][2]string `json:"aliases"`
}

// ModuleName is the name of a module by the path of its file.
func ModuleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// Encode is the text of an index.
func (m *Modules) Encode() ([]byte, error) { return json.Marshal(m) }

// For are the modules for hardware that has an alias, in order of loading.
func (m *Modules) For(alias string) []string {
	var all []string
	for _, a := range m.Aliases {
		if ok, err := path.Match(a[0], alias); ok && err == nil {
			all = append(append(all, m.Needs[a[1]]...), a[1])
		}
	}
	return all
}
