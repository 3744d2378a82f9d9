package field_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/field"
)

// proves H1
func TestEveryTokenOfConnectionNamesAFieldAndItsTwins(t *testing.T) {
	t.Parallel()
	few := []string{"", "close, X-Secret", ",\tx_other ,"}
	for name, lines := range map[string][]string{
		"few":                few,
		"many":               append(slices.Clone(few), strings.Repeat("a, b,", 50)),
		"many before":        append([]string{"a,b,c,d,e"}, few...),
		"many, exactly":      append([]string{"a,b"}, few...),
		"many, and one more": append([]string{"a,b,c"}, few...),
	} {
		h := http.Header{"Connection": lines, "X-Secret": {"1"}, "X_secret": {"1"}, "X-Other": {"1"}, "X-Kept": {"1"}, "X-Secrets": {"1"}}
		l := field.Connection(h)
		for _, named := range []string{"X-Secret", "X_secret", "X-Other"} {
			assert.True(t, l.Has(named), "%s: %s", name, named)
		}
		for _, kept := range []string{"X-Kept", "X-Secrets", "", "Close"} {
			assert.False(t, l.Has(kept), "%s: %s", name, kept)
		}
	}
}

func TestALongTokenIsHeededAmongMany(t *testing.T) {
	t.Parallel()
	long := "X-" + strings.Repeat("A-b_", 100)
	l := field.Connection(http.Header{"Connection": {"a,b,c,d,e,f," + strings.ToLower(long)}, long: {"1"}})
	assert.True(t, l.Has(long))
}

// proves H1
func TestConnectionInAnyCaseFindsEverySpelling(t *testing.T) {
	t.Parallel()
	h := http.Header{"connection": {"X-A"}, "CONNECTION": {"x-b"}, "Connection": {"x-c"}, "X-A": nil, "X-B": nil, "X-C": nil, "X-D": nil}
	l := field.ConnectionInAnyCase(h)
	assert.Equal(t, []bool{true, true, true, false}, []bool{l.Has("X-A"), l.Has("X-B"), l.Has("X-C"), l.Has("X-D")})
	l = field.Connection(h)
	assert.Equal(t, []bool{false, false, true, false}, []bool{l.Has("X-A"), l.Has("X-B"), l.Has("X-C"), l.Has("X-D")})
}

func TestFewTokensCostNoAllocation(t *testing.T) {
	h := http.Header{"Connection": {"keep-alive, x-a", "x-b, Upgrade, x-c"}, "X-A": {"1"}, "X-B": {"1"}, "X-D": {"1"}}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if l := field.Connection(h); !l.Has("X-A") || l.Has("X-D") {
			panic("wrong")
		}
	}))
}

// A Listed keeps only the fields that exist, so it does not hold an upstream's 256 KiB of tokens.
func TestManyTokensAreNotKept(t *testing.T) {
	line := strings.Repeat("x-nothing-of-it,", 16<<10)
	h := http.Header{"Connection": {line}, "X-A": {"1"}}
	assert.LessOrEqual(t, testing.AllocsPerRun(10, func() { field.Connection(h) }), 4.0)
}

func FuzzConnection(f *testing.F) {
	f.Add("X-A, close", "X-A", 0)
	f.Add(",,x_a\t, b", "X.a", 9)
	f.Fuzz(func(t *testing.T, line, name string, more int) {
		h := http.Header{"Connection": {line}, name: {"1"}}
		if more > 0 && more < 100 {
			h["Connection"] = append(h["Connection"], strings.Repeat("other-token,", more))
		}
		want := false
		for token := range strings.SplitSeq(line, ",") {
			switch token = strings.Trim(token, " \t\r\n"); token {
			case "", "close", "keep-alive", "Upgrade", "upgrade", "TE":
			default:
				want = want || field.AreTwins(token, name)
			}
		}
		if more > 0 && more < 100 {
			want = want || field.AreTwins(name, "other-token")
		}
		for _, l := range []field.Listed{field.Connection(h), field.ConnectionInAnyCase(h)} {
			if !field.EqualToken(name, "Connection") {
				assert.Equal(t, want, l.Has(name))
			}
		}
	})
}

// The time is linear in the bytes: a row takes as many times that of 1x as its name says.
func BenchmarkConnectionTokens(b *testing.B) {
	const unit = 15 << 10 // four of these are as much as a server accepts of a client's headers
	for _, times := range []int{1, 2, 4, 16} {
		b.Run(fmt.Sprintf("%dx", times), func(b *testing.B) {
			h := http.Header{}
			var line strings.Builder
			for i := 0; line.Len() < times*unit; i++ {
				line.WriteString("x-" + strconv.Itoa(2*i) + ",")
				h["X-"+strconv.Itoa(3*i)] = []string{"1"} // a third of them is named
			}
			h["Connection"] = []string{line.String()}
			b.ReportAllocs()
			for b.Loop() {
				l := field.Connection(h)
				named := 0
				for name := range h {
					if l.Has(name) {
						named++
					}
				}
				if named == 0 {
					b.Fatal("nothing is named")
				}
			}
		})
	}
	b.Run("few", func(b *testing.B) {
		h := http.Header{"Connection": {"keep-alive, X-A"}, "X-A": {"1"}, "Accept": {"1"}, "User-Agent": {"1"}, "Accept-Encoding": {"1"}}
		b.ReportAllocs()
		for b.Loop() {
			l := field.Connection(h)
			for name := range h {
				l.Has(name)
			}
		}
	})
}
