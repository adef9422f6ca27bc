package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"orrery.dev/orrery/tune"
)

// Verdict on one check.
type Verdict string

// The verdicts, from good to bad.
const (
	OK      Verdict = "ok"
	Note    Verdict = "note"    // good to know: something works less well than it could
	Warning Verdict = "warning" // this scenario works worse than its author may expect
	Missing Verdict = "missing" // does not work
)

// Finding is what one check found. Consequence and Remedy are empty if all is
// well.
type Finding struct {
	Check       string  `json:"check"`
	Verdict     Verdict `json:"verdict"`
	Have        string  `json:"have"`
	Need        string  `json:"need"`
	Consequence string  `json:"consequence,omitempty"`
	Remedy      string  `json:"remedy,omitempty"`
	// Settings are sysctls that mend it. They are there also if all is well only
	// because a run raises them by itself.
	Settings []tune.Setting `json:"settings,omitempty"`
}

// Sentence says all of a finding that is not OK.
func (f *Finding) Sentence() string {
	return fmt.Sprintf("%s: %s (have %s, need %s); %s", f.Check, f.Consequence, f.Have, f.Need, f.Remedy)
}

// Healthy says that nothing is missing.
func Healthy(findings []Finding) bool { return len(withVerdict(findings, Missing)) == 0 }

// Refusals are the sentences that say why a run would fail; none if it would
// not. Without privileges that is the only one: the limits of another user
// would be others.
func Refusals(findings []Finding) []string {
	missing := withVerdict(findings, Missing)
	if i := slices.IndexFunc(missing, func(f Finding) bool { return f.Check == checkPrivileges }); i >= 0 {
		missing = missing[i : i+1]
	}
	return sentences(missing)
}

// Warnings are the sentences that say what will go worse than the scenario's
// author may expect.
func Warnings(findings []Finding) []string { return sentences(withVerdict(findings, Warning)) }

func withVerdict(findings []Finding, v Verdict) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Verdict != v })
}

func sentences(findings []Finding) (list []string) {
	for i := range findings {
		list = append(list, findings[i].Sentence())
	}
	return list
}

// Settings are the sysctls that mend what findings have found, in their order.
func Settings(findings []Finding) (list []tune.Setting) {
	for _, f := range findings {
		list = append(list, f.Settings...)
	}
	return list
}

// Examine compares what is needed with what is there.
func Examine(need Need, have Facts) []Finding {
	var out []Finding
	for _, check := range []func(Need, Facts) []Finding{
		kernel, privileges, devices, ipv6, // abilities
		descriptors, hostFiles, processes, namespaces, mounts, neighbours, inotify, // counts
		memory, runDirectory, // room
		socketBuffers, ancillary, tcpBuffers, softirq, // the network stack
		processors, priority, // time
		software, surroundings,
	} {
		out = append(out, check(need, have)...)
	}
	return out
}

// worse gives a finding its verdict, consequence and remedy.
func (f Finding) worse(v Verdict, consequence, remedy string) []Finding {
	f.Verdict, f.Consequence, f.Remedy = v, consequence, remedy
	return []Finding{f}
}

// tunable gives a finding a remedy by sysctls.
func (f Finding) tunable(v Verdict, consequence string, settings ...tune.Setting) []Finding {
	f.Settings = settings
	return f.worse(v, consequence, "`orrery tune` sets it, as does "+command(settings))
}

func (f Finding) fine() []Finding {
	f.Verdict = OK
	return []Finding{f}
}

// sysctl is a setting that is a number.
func sysctl[T int | int64](name string, value T) tune.Setting {
	return tune.Setting{Sysctl: name, Value: strconv.FormatInt(int64(value), 10)}
}

// command is the call of sysctl(8) that makes settings.
func command(settings []tune.Setting) string {
	words := []string{"sysctl -w"}
	for _, s := range settings {
		if strings.ContainsAny(s.Value, " \t") {
			s.Value = strconv.Quote(s.Value)
		}
		words = append(words, s.Sysctl+"="+s.Value)
	}
	return "`" + strings.Join(words, " ") + "`"
}

// number has a comma between thousands.
func number[T int | int64 | uint64](v T) string {
	n := int64(v)
	if n == Unlimited {
		return "unlimited"
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// atLeast is a number, or a dash where nothing is needed.
func atLeast[T int | int64](n T) string {
	if n == 0 {
		return "-"
	}
	return number(n)
}

func size(bytes int64) string {
	switch {
	case bytes == Unlimited:
		return "unlimited"
	case bytes >= 10<<30:
		return fmt.Sprintf("%.0f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 10<<20:
		return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	case bytes >= 1<<10:
		return fmt.Sprintf("%.0f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%d B", bytes)
}

// rate is in bit/s.
func rate(v float64) string {
	for _, p := range []struct {
		factor float64
		unit   string
	}{{1e12, "Tbit/s"}, {1e9, "Gbit/s"}, {1e6, "Mbit/s"}} {
		if v >= p.factor {
			return fmt.Sprintf("%.3g %s", v/p.factor, p.unit)
		}
	}
	return fmt.Sprintf("%.3g kbit/s", v/1e3)
}
