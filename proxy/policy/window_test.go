package policy

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the places of the tests are the same everywhere

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func place(t testing.TB, name string) *time.Location {
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

func TestAWindowIsThatOfTheCalendar(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		window     Window
		place      string
		at         string // RFC 3339
		start, end string
	}{
		{"an hour", Hour, "UTC", "2026-03-01T10:59:59.999999999Z", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"},
		{"an hour begins", Hour, "UTC", "2026-03-01T11:00:00Z", "2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z"},
		{"before 1970", Hour, "UTC", "1969-12-31T23:59:59Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"},
		{"an hour where zones have halves", Hour, "Asia/Kolkata", "2026-03-01T10:45:00Z", "2026-03-01T10:30:00Z", "2026-03-01T11:30:00Z"},
		{"the hour that comes twice, first", Hour, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"},
		{"the hour that comes twice, again", Hour, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"},
		{"half an hour that comes twice", Hour, "Australia/Lord_Howe", "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"},
		{"a day", Day, "UTC", "2026-03-01T23:59:59Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		{"a day of 23 hours", Day, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"a day of 25 hours", Day, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"a day without a midnight", Day, "America/Sao_Paulo", "2017-10-15T12:00:00Z", "2017-10-15T03:00:00Z", "2017-10-16T02:00:00Z"},
		{"the day before that", Day, "America/Sao_Paulo", "2017-10-15T02:59:59Z", "2017-10-14T03:00:00Z", "2017-10-15T03:00:00Z"},
		{"a day with midnight at its end twice", Day, "America/Sao_Paulo", "2018-02-18T02:30:00Z", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"},
		{"a day that has begun, in the hour before it again", Day, "America/St_Johns", "2010-11-07T03:00:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"},
		{"a day that is skipped", Day, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
		{"the day before it", Day, "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"a day of which ZoneBounds is wrong", Day, "Europe/Berlin", "2040-12-31T12:00:00Z", "2040-12-30T23:00:00Z", "2040-12-31T23:00:00Z"},
		{"February", Month, "UTC", "2027-02-28T23:00:00Z", "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"},
		{"February of a leap year", Month, "UTC", "2028-02-29T23:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		{"December", Month, "America/New_York", "2027-01-01T04:59:59Z", "2026-12-01T05:00:00Z", "2027-01-01T05:00:00Z"},
		{"a month with a change of clocks", Month, "America/New_York", "2026-03-20T00:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339Nano, tt.at)
			require.NoError(t, err)
			got := tt.window.of(at, place(t, tt.place))
			assert.Equal(t, tt.start, got.Start.UTC().Format(time.RFC3339))
			assert.Equal(t, tt.end, got.End.UTC().Format(time.RFC3339))
		})
	}
}

// Every time is in one window, and the next one begins where it ends.
func TestWindowsFollowEachOther(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe",
		"Asia/Kolkata", "Asia/Gaza", "Africa/Casablanca", "Antarctica/Troll", "Pacific/Kiritimati", "Africa/Monrovia"} {
		loc := place(t, name)
		for range 300 {
			at := time.Unix(rng.Int64N(4_000_000_000)-1_000_000_000, rng.Int64N(1e9))
			if _, end := at.In(loc).ZoneBounds(); rng.IntN(2) == 0 && !end.IsZero() { // near a change of clocks
				at = end.Add(time.Duration(rng.Int64N(int64(4*time.Hour)) - int64(2*time.Hour)))
			}
			for w := Hour; w <= Month; w++ {
				p := w.of(at, loc)
				require.True(t, p.has(at), "%s %s of %s: %v", w, name, at, p)
				require.True(t, w.of(p.Start, loc) == p || w.of(p.Start, loc).Start.Equal(p.Start) && w.of(p.Start, loc).End.Equal(p.End), "%s %s of %s", w, name, at)
				require.True(t, w.of(p.End.Add(-1), loc).Start.Equal(p.Start), "%s %s of %s", w, name, at)
				require.True(t, w.of(p.End, loc).Start.Equal(p.End), "%s %s of %s", w, name, at)
				require.True(t, w.of(p.Start.Add(-1), loc).End.Equal(p.Start), "%s %s of %s", w, name, at)
			}
		}
	}
}

// A movable clock runs with the fake time of a bubble, and can be set.
type movable struct{ off time.Duration }

func (m *movable) now() time.Time { return time.Now().Add(m.off) }

// proves M26
func TestAClockThatIsSetBackBeginsNoWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the fake time begins at midnight of 2000-01-01
		var m movable
		c := calendar{window: Day, loc: time.UTC, clock: m.now, keeps: true, fields: func(Period) []*limitFields { return nil }}
		number := func() int64 {
			_, e := c.now()
			return e.number
		}
		require.EqualValues(t, 1, number())
		<-time.After(24*time.Hour + time.Second)
		require.EqualValues(t, 2, number())
		m.off = -2 * time.Second // over midnight
		assert.EqualValues(t, 2, number())
		<-time.After(time.Second)
		assert.EqualValues(t, 2, number(), "the day that has begun begins no second time")
		<-time.After(24 * time.Hour)
		assert.EqualValues(t, 3, number())

		m.off = 3650 * 24 * time.Hour
		assert.EqualValues(t, 4, number(), "a clock that says so has begun a day")
		m.off = 0
		assert.EqualValues(t, 4, number())
		now, e := c.now()
		assert.Equal(t, 24*time.Hour, e.left(now), "clients need not wait for ten years")
		<-time.After(12 * time.Hour)
		assert.EqualValues(t, 4, number())
		<-time.After(12 * time.Hour)
		assert.EqualValues(t, 5, number(), "it has lasted for a day")
	})
}

func TestACalendarForCountsElsewhereGoesByTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m movable
		c := calendar{window: Day, loc: time.UTC, clock: m.now, fields: func(Period) []*limitFields { return nil }}
		for _, off := range []time.Duration{0, 240 * time.Hour, -time.Hour, 0} {
			m.off = off
			now, e := c.now()
			assert.True(t, e.has(now))
			assert.Equal(t, e.Period, e.around[1])
			assert.Equal(t, e.Start, e.around[0].End)
			assert.Equal(t, e.End, e.around[2].Start)
		}
	})
}

func FuzzAWindowHasItsTime(f *testing.F) {
	f.Add(int64(1_792_888_200), int64(0), "Europe/Berlin")
	f.Add(int64(-1), int64(999_999_999), "Pacific/Apia")
	f.Fuzz(func(t *testing.T, seconds, nanos int64, name string) {
		loc, err := time.LoadLocation(name)
		if err != nil || seconds > 1<<38 || seconds < -1<<38 {
			return
		}
		at := time.Unix(seconds, nanos)
		for w := Hour; w <= Month; w++ {
			assert.True(t, w.of(at, loc).has(at), "%s of %s", w, at)
		}
	})
}
