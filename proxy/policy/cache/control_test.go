package cache

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

func TestCacheControl(t *testing.T) {
	t.Parallel()
	with := func(change func(*directives)) directives {
		d := none
		change(&d)
		return d
	}
	maxAge := func(age time.Duration) directives { return with(func(d *directives) { d.maxAge = age }) }
	for text, want := range map[string]directives{
		"":                                    none,
		", ,":                                 none,
		"unknown, foo=bar":                    none,
		"max-age=60":                          maxAge(time.Minute),
		"MAX-Age=060":                         maxAge(time.Minute),
		" max-age = 60":                       maxAge(0),
		`max-age="60"`:                        maxAge(time.Minute),
		"max-age":                             maxAge(0),
		"max-age=":                            maxAge(0),
		"max-age=-1":                          maxAge(0),
		"max-age=1.5":                         maxAge(0),
		"max-age=60s":                         maxAge(0),
		"max-age='60'":                        maxAge(0),
		"max-age=60, max-age=1":               maxAge(time.Minute),
		"max-age=x, max-age=60":               maxAge(0),
		"max-age=99999999999999999999999":     maxAge(longest),
		`a="max-age=1, no-store", max-age=60`: maxAge(time.Minute),
		`a="\", no-store", max-age=60`:        maxAge(time.Minute),
		`a="max-age=1`:                        with(func(d *directives) { d.noStore = true }),
		`max-age=1, a="\", public`: with(func(d *directives) {
			d.noStore, d.maxAge = true, time.Second
		}),
		"no-store,private,public,no-cache": with(func(d *directives) {
			d.noStore, d.private, d.public, d.noCache = true, true, true, true
		}),
		`private="a, b", no-cache="c"`: with(func(d *directives) { d.private, d.noCache = true, true }),
		"must-revalidate, proxy-revalidate, must-understand": with(func(d *directives) {
			d.mustRevalidate, d.proxyRevalidate, d.mustUnderstand = true, true, true
		}),
		"s-maxage=x, stale-if-error=x, stale-while-revalidate": with(func(d *directives) { d.sMaxAge = 0 }),
		"s-maxage=1,stale-if-error=2,stale-while-revalidate=3": with(func(d *directives) {
			d.sMaxAge, d.ifError, d.whileRevalidate = time.Second, 2*time.Second, 3*time.Second
		}),
		"min-fresh=1, max-stale=2, only-if-cached": with(func(d *directives) {
			d.minFresh, d.maxStale, d.onlyIfCached = time.Second, 2*time.Second, true
		}),
		"min-fresh=x, max-stale": with(func(d *directives) { d.maxStale = longest }),
	} {
		assert.Equal(t, want, parseControl([]string{text}), text)
		assert.Equal(t, want, parseControl([]string{"foo", text}), text)
	}
	assert.Equal(t, maxAge(time.Minute), parseControl([]string{"max-age=60", "max-age=1"}))
	assert.Equal(t, with(func(d *directives) { d.noCache = true }), asked(http.Header{"Pragma": {"foo, No-Cache"}}))
	assert.Equal(t, none, asked(http.Header{"Pragma": {"no-cache"}, "Cache-Control": {"foo"}}))
}

func TestDates(t *testing.T) {
	t.Parallel()
	want := time.Date(1994, time.November, 6, 8, 49, 37, 0, time.UTC)
	for text, valid := range map[string]bool{
		"Sun, 06 Nov 1994 08:49:37 GMT":   true,
		"sun, 06 NOV 1994 08:49:37 gmt":   true,
		"Sunday, 06-Nov-94 08:49:37 GMT":  true,
		"Sun Nov  6 08:49:37 1994":        true,
		"Sun, 06 Nov 1994 08:49:37 UTC":   false,
		"Sun, 06  Nov 1994 08:49:37 GMT":  false,
		"Sun, 06 Nov 1994 8:49:37 GMT":    false,
		"Sun, 06 Nov 94 08:49:37 GMT":     false,
		"Sun 06 Nov 1994 08:49:37 GMT":    false,
		"Sun, 06-Nov-1994 08:49:37 GMT":   false,
		"Sunday, 06-Nov-94 08:49:37 CET":  false,
		"Sunday, 06  Nov-94 08:49:37 GMT": false,
		" GMT":                            false,
		"0":                               false,
		"":                                false,
	} {
		at, ok := parseDate(text)
		assert.Equal(t, valid, ok, text)
		if ok && valid {
			assert.True(t, want.Equal(at), text)
		}
	}
	_, ok := date([]string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"})
	assert.False(t, ok)
}

func TestAge(t *testing.T) {
	t.Parallel()
	received := time.Date(2020, 1, 1, 0, 1, 0, 0, time.UTC)
	sent := received.Add(-2 * time.Second)
	for _, tt := range []struct {
		name   string
		fields http.Header
		want   time.Duration
	}{
		{"says nothing", http.Header{}, 2 * time.Second},
		{"the call has taken two seconds", http.Header{"Age": {"10"}}, 12 * time.Second},
		{"its date is older", http.Header{"Age": {"10"}, "Date": {"Wed, 01 Jan 2020 00:00:00 GMT"}}, time.Minute},
		{"its date is that second", http.Header{"Date": {"Wed, 01 Jan 2020 00:00:59 GMT"}}, 2 * time.Second},
		{"its date is to come", http.Header{"Date": {"Wed, 01 Jan 2030 00:00:00 GMT"}}, 2 * time.Second},
		{"the first of a list", http.Header{"Age": {"10, 20", "30"}}, 12 * time.Second},
		{"no number", http.Header{"Age": {"-10"}}, 2 * time.Second},
		{"too large", http.Header{"Age": {"99999999999999999999"}}, longest},
	} {
		assert.Equal(t, tt.want, ageOf(tt.fields, sent, received), tt.name)
	}
}

func FuzzCacheControl(f *testing.F) {
	for _, text := range []string{"max-age=60, no-store", `a="\",max-age=1`, "max-age=1,max-age=2", "s-maxage=99999999999999999999", `private="a,b"`, "max-stale"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := parseControl([]string{text})
		for _, age := range []time.Duration{d.maxAge, d.sMaxAge, d.minFresh, d.maxStale, d.whileRevalidate, d.ifError} {
			assert.True(t, age == absent || age >= 0 && age <= longest)
		}
		assert.Equal(t, d, parseControl([]string{text, "unknown"}), "another directive makes no difference")
		if strings.Contains(text, `"`) {
			return // a comma may be in it
		}
		assert.Equal(t, d, parseControl(strings.Split(text, ",")), "lines are lists")
		also := parseControl([]string{text, "no-store"})
		assert.True(t, also.noStore, "what is forbidden stays so")
		if target, ok := dictionary([]string{text}); ok {
			assert.True(t, target.maxAge == absent || target.maxAge >= 0 && target.maxAge <= longest)
		}
		var s Spec
		fresh, ok := s.freshness(200, http.Header{"Cache-Control": {text, "private"}}, time.Now())
		assert.False(t, ok, "%v", fresh)
	})
}

// FuzzVaryKey holds the keys of two requests to what they are made of: they are equal only if what
// the answer varies by is.
func FuzzVaryKey(f *testing.F) {
	f.Add("Accept, Cookie", "a", "b", "b", "a")
	f.Add("Accept", "a, b", "", "a,b", "")
	f.Add("*", "", "", "", "")
	f.Add("Accept\nX-A", `"a, b"`, "", `"a,b"`, "")
	f.Fuzz(func(t *testing.T, vary, a1, a2, b1, b2 string) {
		names, ok := varying(strings.Split(vary, "\n"))
		if !ok {
			return
		}
		require.LessOrEqual(t, len(names), maxNames)
		a, b := http.Header{"Accept": {a1}, "Cookie": {a2}}, http.Header{"Accept": {b1}, "Cookie": {b2}}
		key := func(of string, h http.Header) string {
			req := proxy.NewRequest("GET", "/")
			req.Header = h
			return variantKey(of, names, req, &call.Taken{All: true, Hidden: true})
		}
		equal := key("key", a) == key("key", b)
		want := true
		for _, name := range names {
			want = want && plain(a[name]) == plain(b[name])
		}
		assert.Equal(t, want, equal)
		assert.NotEqual(t, key("key", a), key("other", a))
	})
}

// plain is what a field says, as selecting has it, written in another way.
func plain(lines []string) string {
	all := strings.Join(lines, ",")
	if strings.ContainsAny(all, `"\`) {
		return "exactly " + all
	}
	var items []string
	for _, item := range strings.Split(all, ",") {
		items = append(items, strings.Trim(item, " \t"))
	}
	return "list " + strings.Join(items, ",")
}

// FuzzKeys holds that the keys of two requests are equal only if the requests are.
func FuzzKeys(f *testing.F) {
	f.Add("/a", "/b", "x=1", "x=1&y=2", "v", "v, w")
	f.Fuzz(func(t *testing.T, pathA, pathB, queryA, queryB, sentA, sentB string) {
		d := &decorated{cache: New(Spec{})}
		made := func(path, query, sent string) *proxy.Request {
			req := proxy.NewRequest("GET", path)
			req.RawQuery = query
			req.Query, _ = url.ParseQuery(query)
			req.Upstream.Set("X-User", sent)
			return req
		}
		a, b := made(pathA, queryA, sentA), made(pathB, queryB, sentB)
		assert.Equal(t, pathA == pathB && queryA == queryB && sentA == sentB, d.answerKey(a) == d.answerKey(b))
		assert.LessOrEqual(t, len(d.answerKey(a)), 64)
	})
}

// FuzzRange holds that a range is in the payload.
func FuzzRange(f *testing.F) {
	for _, text := range []string{"bytes=0-1", "bytes=-1", "bytes=1-", "bytes=9-2", "bytes=99999999999999999999-"} {
		f.Add(text, int64(10))
	}
	f.Fuzz(func(t *testing.T, text string, size int64) {
		if size < 0 {
			return
		}
		from, to, ok := parseRange(text, size)
		if ok && from < to {
			assert.True(t, from >= 0 && to <= size)
		}
	})
}
