package plan

import (
	"time"

	"orrery.dev/orrery/curve"
	"orrery.dev/orrery/scenario"
	"orrery.dev/orrery/sky"
)

// medium is the properties of a kind of link, made ready for use.
type medium struct {
	properties *scenario.Properties
	extra      float64 // s
	rate, loss curve.Curve
	table      *table // nil if properties do not depend on geometry
}

func newMedium(p *scenario.Properties) *medium {
	m := &medium{
		properties: p,
		extra:      time.Duration(p.ExtraDelay).Seconds(),
		rate:       curve.Constant(float64(p.Rate)),
		loss:       curve.Constant(0),
	}
	if p.Loss != nil {
		m.loss = curve.Constant(float64(p.Loss.Probability))
	}
	if p.Table != nil && len(p.Table.Rows) > 0 {
		m.table = newTable(p)
	}
	return m
}

// fit appends to the curves of j their part in [from, to).
func (m *medium) fit(j *joined, a, b *sky.Path, from, to time.Duration) {
	n := len(j.delay)
	j.delay = sky.FitDelay(j.delay, a, b, from, to)
	if m.table == nil {
		for i := n; i < len(j.delay); i++ {
			j.delay[i].C[0] += m.extra
		}
		return
	}
	m.table.fit(j, n, a, b, from, to)
}
