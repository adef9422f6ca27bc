package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// outputFlag adds -o to a verb that lists something.
func outputFlag(c *cobra.Command, formats ...string) *string {
	o := c.Flags().StringP("output", "o", formats[0], "one of "+strings.Join(formats, ", "))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	check := c.PreRunE
	c.PreRunE = func(cmd *cobra.Command, args []string) error {
		for _, f := range formats {
			if f == *o {
				if check != nil {
					return check(cmd, args)
				}
				return nil
			}
		}
		return usageError(fmt.Errorf("--output %s: want one of %s", *o, strings.Join(formats, ", ")))
	}
	return o
}

// table is what a listing shows: a head and rows of text.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the table for people or, as csv, for programs.
func (t *table) print(w io.Writer, format string) error {
	if format == "csv" {
		out := csv.NewWriter(w)
		if err := out.Write(t.head); err != nil {
			return err
		}
		if err := out.WriteAll(t.rows); err != nil {
			return err
		}
		return out.Error()
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.ToUpper(strings.Join(t.head, "\t")))
	for _, r := range t.rows {
		fmt.Fprintln(tw, strings.Join(r, "\t"))
	}
	return tw.Flush()
}

// printMessage writes a message of the API as indented JSON.
func printMessage(w io.Writer, m proto.Message) error {
	b, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	return printJSON(w, json.RawMessage(b)) // protojson's own white space is random on purpose
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// scenarioTime is a duration as hours, minutes and seconds: 01:02:03.456.
func scenarioTime(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	d = d.Round(time.Millisecond)
	return fmt.Sprintf("%s%02d:%02d:%06.3f", sign, int(d.Hours()), int(d.Minutes())%60, math.Mod(d.Seconds(), 60))
}

func clockTime(d time.Duration) string {
	d = d.Truncate(time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// milliseconds prints a duration with three decimals, or a dash if it is unknown.
func milliseconds(d *durationpb.Duration) string {
	if d == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f ms", float64(d.AsDuration())/1e6)
}

func short(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.1f µs", float64(d)/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return d.Round(10 * time.Millisecond).String()
}

// quantity prints a number with a prefix of the SI.
func quantity(v float64, unit string) string {
	for _, p := range []struct {
		f float64
		s string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= p.f {
			return fmt.Sprintf("%.3g %s%s", v/p.f, p.s, unit)
		}
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

func plural(n int, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	if strings.HasSuffix(noun, "s") {
		return fmt.Sprintf("%d %ses", n, noun)
	}
	if before, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, before)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
