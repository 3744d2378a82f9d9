package endpoint

import "time"

// A patience says when the deadline of a connection has to be set again, so that each read or write
// has at least its limit. Setting it costs as much as a small write. So the deadline is set a tenth of
// the limit later than needed, but at most maxSlack, and serves every read or write that still has the
// whole limit before it.
type patience struct {
	limit time.Duration // of each read or write; 0 is no limit
	until time.Time     // a read or write that begins before it has the whole limit
}

// maxSlack is how much later than after its limit a read or write may end.
const maxSlack = time.Second

// deadline returns the deadline for a read or write that begins now, and whether it has to be set.
func (p *patience) deadline() (deadline time.Time, set bool) {
	if p.limit <= 0 {
		return time.Time{}, false
	}
	now := time.Now()
	if now.Before(p.until) {
		return time.Time{}, false
	}
	p.until = now.Add(min(p.limit/10, maxSlack))
	return p.until.Add(p.limit), true
}

// rest reports whether a deadline is set that has to be taken away, because nothing is read or
// written for now. The next read or write sets it anew.
func (p *patience) rest() bool {
	set := !p.until.IsZero()
	p.until = time.Time{}
	return set
}
