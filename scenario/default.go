package scenario

import (
	"reflect"
	"slices"
	"strconv"
	"time"

	"orrery.dev/orrery/scenario/internal/shape"
)

// defaultEpoch is the epoch of a scenario without element files.
var defaultEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// The defaults that depend on other fields; the others are tags of the types.
const (
	defaultPorts        = 4
	defaultInterval     = Duration(10 * time.Second)
	defaultLead         = Duration(100 * time.Millisecond)
	defaultDestinations = "stations"
	defaultQueueTime    = 0.05  // s at the link's rate
	minQueue            = 64000 // bytes
)

// Default fills in what the file left out. It is idempotent. Epoch stays nil
// where it depends on element files: the plan takes it from them.
func (s *Scenario) Default() {
	fill(reflect.ValueOf(s).Elem())
	spec := &s.Spec
	files := false
	for i := range spec.Constellations {
		c := &spec.Constellations[i]
		files = files || c.File != nil
		c.setDefaults(spec)
	}
	if spec.Epoch == nil && !files {
		epoch := defaultEpoch
		spec.Epoch = &epoch
	}
	for i := range spec.InterLinks {
		l := &spec.InterLinks[i]
		if l.Ports == nil {
			l.Ports = []int{1, defaultPorts}
		}
		l.Properties.setDefaults()
	}
	for i := range spec.GroundLinks {
		l := &spec.GroundLinks[i]
		if l.Stations == nil {
			l.Stations = []string{"*"}
		}
		if l.Constellations == nil {
			for _, c := range spec.Constellations {
				l.Constellations = append(l.Constellations, c.Name)
			}
		}
		l.Properties.setDefaults()
	}
	for i := range spec.Routing {
		spec.Routing[i].setDefaults()
	}
	for i := range spec.Kubernetes.Pods {
		if p := &spec.Kubernetes.Pods[i]; p.Nodes == nil {
			p.Nodes = []string{"*"}
		}
	}
}

func (c *Constellation) setDefaults(spec *Spec) {
	if w := c.Walker; w != nil && w.RAANSpread == nil {
		spread := Angle(360)
		if w.Pattern == "star" {
			spread = 180
		}
		w.RAANSpread = &spread
	}
	if l := c.Links; l != nil {
		if l.Pattern == "grid" && l.Seam == "" && c.Walker != nil {
			l.Seam = "closed"
			if c.Walker.Pattern == "star" {
				l.Seam = "open"
			}
		}
		if l.Pattern == "nearest" {
			if l.Ports == 0 {
				l.Ports = defaultPorts
			}
			if l.Interval == 0 {
				l.Interval = defaultInterval
			}
		}
		l.Properties.setDefaults()
	}
	if c.GroundPorts == nil {
		ports := 0
		for _, g := range spec.GroundLinks {
			if g.Constellations == nil || slices.Contains(g.Constellations, c.Name) {
				ports = 1
			}
		}
		c.GroundPorts = &ports
	}
}

// setDefaults gives a queue to a link with a rate.
func (p *Properties) setDefaults() {
	if p.Queue != 0 {
		return
	}
	rate := p.Rate
	if p.Table != nil {
		for _, row := range p.Table.Rows {
			if row.Rate != nil {
				rate = max(rate, *row.Rate)
			}
		}
	}
	if rate > 0 {
		p.Queue = max(minQueue, Size(float64(rate)/8*defaultQueueTime))
	}
}

func (r *Routing) setDefaults() {
	if r.Nodes == nil {
		r.Nodes = []string{"*"}
	}
	if r.Daemon == "" {
		r.Daemon = defaultDaemon[r.Protocol]
	}
	if r.Protocol == "oracle" {
		if r.Lead == 0 {
			r.Lead = defaultLead
		}
		if r.Destinations == "" {
			r.Destinations = defaultDestinations
		}
	}
}

// defaultDaemon is the daemon of each protocol.
var defaultDaemon = map[string]string{
	"isis": "frr", "ospf2": "frr", "ospf3": "bird", "bgp": "frr", "static": "frr", "oracle": "none", "none": "none",
}

// Undefault empties all fields below part, a pointer to a part of a scenario, that hold the
// defaults of their tags. Default fills them in again; those that depend on other fields
// stay.
func Undefault(part any) { empty(reflect.ValueOf(part).Elem()) }

func empty(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			empty(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k == reflect.Struct || k == reflect.Array {
			for i := range v.Len() {
				empty(v.Index(i))
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for _, f := range shape.Fields(v.Type()) {
			field := v.FieldByIndex(f.Index)
			if f.Default == "" || field.IsZero() {
				empty(field)
				continue
			}
			usual, value := reflect.New(field.Type()).Elem(), field
			if field.Kind() == reflect.Pointer {
				usual, value = reflect.New(field.Type().Elem()).Elem(), field.Elem()
			}
			if setText(usual, f.Default); usual.Equal(value) {
				field.SetZero()
			}
		}
	}
}

// fill sets every zero field below v that has a default tag.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k == reflect.Struct || k == reflect.Array {
			for i := range v.Len() {
				fill(v.Index(i))
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for _, f := range shape.Fields(v.Type()) {
			field := v.FieldByIndex(f.Index)
			if f.Default == "" || !field.IsZero() {
				fill(field)
				continue
			}
			if field.Kind() == reflect.Pointer {
				field.Set(reflect.New(field.Type().Elem()))
				field = field.Elem()
			}
			setText(field, f.Default)
		}
	}
}

// setText sets a field to the value of a tag; a tag that cannot be read is a
// mistake in types.go and panics.
func setText(v reflect.Value, text string) {
	if v.Kind() == reflect.String {
		v.SetString(text)
		return
	}
	n := number64(v.Type(), text)
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Float64:
		v.SetFloat(n)
	}
}

// number64 reads the text of a tag as a number in the unit of a type.
func number64(t reflect.Type, text string) float64 {
	var v float64
	var err error
	switch t {
	case reflect.TypeFor[Distance]():
		v, err = distanceUnits.parse(text)
	case reflect.TypeFor[Angle]():
		v, err = angleUnits.parse(text)
	case reflect.TypeFor[Rate]():
		v, err = rateUnits.parse(text)
	case reflect.TypeFor[Size]():
		v, err = sizeUnits.parse(text)
	case reflect.TypeFor[Duration]():
		v, err = durationUnits.parse(text)
	default:
		v, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		panic("scenario: tag of a " + t.String() + ": " + err.Error())
	}
	return v
}
