package policy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Window is the part of the calendar for which a [Quota] counts.
type Window int

// The windows. There is no default.
const (
	Hour  Window = iota + 1 // 60 minutes, from minute 0; shorter where the clocks are changed within it
	Day                     // from midnight to midnight, 23 to 25 hours where the clocks are changed
	Month                   // from the first to the last day
)

// String returns "hour", "day" or "month".
func (w Window) String() string {
	switch w {
	case Hour:
		return "hour"
	case Day:
		return "day"
	case Month:
		return "month"
	}
	return fmt.Sprintf("Window(%d)", int(w))
}

// A Period is one window: from Start until just before End.
type Period struct{ Start, End time.Time }

// has reports whether a time is in the period.
func (p Period) has(t time.Time) bool { return !t.Before(p.Start) && t.Before(p.End) }

// of returns the window that a time is in. Windows follow each other without a gap.
func (w Window) of(t time.Time, loc *time.Location) Period {
	t = t.In(loc)
	if w == Hour {
		return hourOf(t)
	}
	date := func(n int) time.Time { // n windows later; its fields count, and not its zone
		if w == Month {
			return time.Date(t.Year(), t.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
		}
		return time.Date(t.Year(), t.Month(), t.Day()+n, 0, 0, 0, 0, time.UTC)
	}
	p := Period{reaches(date(0), loc), reaches(date(1), loc)}
	for n := 2; n < 4 && !t.Before(p.End); n++ { // the clocks were set back over midnight: the new day has begun
		p = Period{p.End, reaches(date(n), loc)}
	}
	return p
}

// hourOf returns the hour of a time, in whose zone it begins and ends.
func hourOf(t time.Time) Period {
	_, offset := t.Zone()
	past := time.Duration(((t.Unix()+int64(offset))%3600+3600)%3600)*time.Second + time.Duration(t.Nanosecond())
	p := Period{Start: t.Add(-past), End: t.Add(time.Hour - past)}
	start, end := t.ZoneBounds()
	if !start.IsZero() && start.After(p.Start) && !start.After(t) {
		p.Start = start
	}
	if isEnd(end, t) && end.Before(p.End) {
		p.End = end
	}
	return p
}

// reaches returns the first time at which the clocks of a place show a date or a later one. time.Date
// does not say which time it returns if the clocks skip midnight, or show it twice.
func reaches(date time.Time, loc *time.Location) time.Time {
	from := date.Add(-48 * time.Hour).In(loc) // the clocks are behind or ahead by less
	for {
		_, offset := from.Zone()
		at := date.Add(-time.Duration(offset) * time.Second).In(loc)
		if at.Before(from) {
			at = from // it was skipped
		}
		_, end := from.ZoneBounds()
		if !isEnd(end, from) || at.Before(end) {
			return at
		}
		from = end
	}
}

// isEnd reports whether what ZoneBounds returns is an end. On the last day of leap years after 2037 it
// is a time that has passed (seen with Go 1.26), when no change of clocks is near.
func isEnd(end, of time.Time) bool { return !end.IsZero() && end.After(of) }

// A calendar tells which window it is. The zero value begins with the first call.
type calendar struct {
	window Window
	loc    *time.Location
	clock  func() time.Time              // nil is time.Now
	keeps  bool                          // a window when the clock is set back
	fields func(p Period) []*limitFields // of a window

	mu   sync.Mutex // held to begin a window
	last atomic.Pointer[epoch]
}

// An epoch is the window that counts at the moment.
type epoch struct {
	Period
	number int64 // which grows
	fields []*limitFields
	around [3]Period // the windows before, this one, and after
	began  time.Time // by the clock that is not set
	lasts  time.Duration
}

// now returns the time, and the window that counts.
//
// If the clock is set back, the window that has begun stays, so that nobody gets it twice: until the
// clock is in it again, or for as long as it was to last, so that a clock which was far ahead does not
// hold it for years.
func (c *calendar) now() (time.Time, *epoch) {
	var now time.Time
	if c.clock == nil {
		now = time.Now()
	} else {
		now = c.clock()
	}
	if e := c.last.Load(); e != nil && e.has(now) {
		return now, e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.last.Load()
	number := int64(1)
	if e != nil {
		if e.has(now) || c.keeps && now.Before(e.Start) && time.Since(e.began) < e.lasts {
			return now, e
		}
		number = e.number + 1
	}
	p := c.window.of(now, c.loc)
	if e != nil && p.Start.Equal(e.Start) {
		return now, e
	}
	e = &epoch{Period: p, number: number, fields: c.fields(p), began: time.Now(), lasts: p.End.Sub(now),
		around: [3]Period{c.window.of(p.Start.Add(-1), c.loc), p, c.window.of(p.End, c.loc)}}
	c.last.Store(e)
	return now, e
}

// left returns how long the window still lasts.
func (e *epoch) left(now time.Time) time.Duration { return min(e.End.Sub(now), e.End.Sub(e.Start)) }
