package interchange

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"orrery.dev/orrery/plan"
)

// contactPlanColumns are the columns of ContactPlan. docs/interchange.md explains each.
var contactPlanColumns = []string{
	"a_node", "a_port", "b_node", "b_port", "class",
	"start_utc", "end_utc", "start_s", "end_s", "begins", "ends",
	"delay_start_ms", "delay_end_ms", "delay_min_ms", "delay_max_ms",
	"rate_min_bps", "rate_max_bps", "loss_min", "loss_max",
}

// ContactPlan writes one row of CSV (RFC 4180, with a header) for each contact of a span,
// in order of their ends. Instants are exact to the nanosecond.
func ContactPlan(ctx context.Context, w io.Writer, p *plan.Plan, s Span) error {
	out := csv.NewWriter(w)
	if err := out.Write(contactPlanColumns); err != nil {
		return err
	}
	err := walk(ctx, p, s, nil, func(c *contact) error {
		a, b := p.Port(c.a), p.Port(c.b)
		return out.Write([]string{
			p.Nodes[a.Node].Name, a.Name, p.Nodes[b.Node].Name, b.Name, c.class.String(),
			instant(p, c.start), instant(p, c.end), seconds(c.start), seconds(c.end),
			strconv.FormatBool(c.begins), strconv.FormatBool(c.ends),
			milliseconds(c.delay.first), milliseconds(c.delay.last), milliseconds(c.delay.least), milliseconds(c.delay.most),
			rate(c.rate.least), rate(c.rate.most), probability(c.loss.least), probability(c.loss.most),
		})
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// instant is a scenario time as a date and time of ISO 8601, UTC.
func instant(p *plan.Plan, t time.Duration) string {
	return p.Epoch.Add(t).UTC().Format(time.RFC3339Nano)
}

// seconds prints a duration exactly.
func seconds(d time.Duration) string {
	return fmt.Sprintf("%d.%09d", d/time.Second, d%time.Second)
}

// milliseconds prints a number of seconds, to the nanosecond.
func milliseconds(s float64) string { return strconv.FormatFloat(s*1e3, 'f', 6, 64) }

// rate in bit/s; empty for one without a limit.
func rate(bps float64) string {
	if bps == 0 {
		return ""
	}
	return strconv.FormatFloat(bps, 'f', 0, 64)
}

func probability(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
