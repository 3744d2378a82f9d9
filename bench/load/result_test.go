package main

import (
	"math"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	assert.Equal(t, spread{3, 1, 9}, spreadOf([]float64{9, 1, 3}))
	assert.Equal(t, spread{2.5, 1, 4}, spreadOf([]float64{4, 1, 2, 3}))
	assert.True(t, math.IsNaN(spreadOf(nil).median))
}

// The ratio is the median of the rounds' ratios, and not the ratio of the medians.
func TestRatiosAreThoseOfRounds(t *testing.T) {
	t.Parallel()
	none := math.NaN()
	trial := &trial{row: table[0], sides: []*side{
		{role: role{Kind: "gateway"}, samples: []sample{{10, 1}, {50, 2}, {12, 3}}},
		{role: role{Kind: "peer"}, samples: []sample{{20, 4}, {100, 5}, {8, 6}}},
		{role: role{Kind: "nginx"}, samples: []sample{{5, none}, {20, none}, {4, none}}},
	}}
	results := trial.results()
	require.Len(t, results, 2)
	assert.Equal(t, spread{0.5, 0.5, 1.5}, results[0].ratio)
	assert.Equal(t, "| passthrough 1 KB | 12.0 µs, 2 allocations | 20.0 µs, 5 allocations | 0.500 | 0.500–1.500 | ≤ 0.82× | yes |\n", results[0].line())
	assert.Equal(t, "| passthrough 1 KB, nginx | 5.0 µs | 20.0 µs, 5 allocations | 0.250 | 0.200–0.500 | – | – |\n", results[1].line())
}

func TestBars(t *testing.T) {
	t.Parallel()
	with := func(b bar, ratio, value, beside float64) string {
		return result{row: row{bar: b}, ratio: spread{median: ratio}, figure: sample{value, beside}}.reached()
	}
	none := math.NaN()
	assert.Equal(t, "yes", with(bar{ratioAtMost: 0.5}, 0.5, 9, none))
	assert.Equal(t, "no", with(bar{ratioAtMost: 0.5}, 0.51, 9, none))
	assert.Equal(t, "no", with(bar{ratioAtMost: 0.5}, none, 9, none), "what was not measured is not reached")
	assert.Equal(t, "yes", with(bar{ratioAtLeast: 1, besideAtMost: 32}, 1, 9, 32))
	assert.Equal(t, "no", with(bar{ratioAtLeast: 1, besideAtMost: 32}, 0.99, 9, 1))
	assert.Equal(t, "no", with(bar{ratioAtLeast: 1, besideAtMost: 32}, 1, 9, 33))
	assert.Equal(t, "yes", with(bar{atMost: 20}, 3, 20, none))
	assert.Equal(t, "no", with(bar{atMost: 20}, 0.1, 20.1, none))
	assert.Equal(t, "–", with(bar{}, 7, 7, 7))
	assert.Equal(t, "≥ 1×, memory ≤ 32 MiB", bar{ratioAtLeast: 1, besideAtMost: 32}.String())
}

func TestComparisonOfAnswers(t *testing.T) {
	t.Parallel()
	as := func(status int, body string, header ...string) answer {
		a := answer{status: status, header: http.Header{}, body: []byte(body)}
		for i := 0; i < len(header); i += 2 {
			a.header.Set(header[i], header[i+1])
		}
		return a
	}
	assert.NoError(t, sameJSON(as(200, `{"a":1,"b":[2]}`), as(200, ` {"b": [2], "a": 1}`)))
	assert.Error(t, sameJSON(as(200, `{"a":1}`), as(200, `{"a":1.0}`)), "numbers count by their text")
	assert.Error(t, sameJSON(as(200, `{"a":1}`), as(502, `{"a":1}`)))
	assert.Error(t, sameJSON(as(502, `{"a":1}`), as(502, `{"a":1}`)))
	assert.Error(t, sameJSON(as(200, `{"a":1}`), as(200, `{"a":1}`, "Content-Type", "text/html")))
	assert.Error(t, sameJSON(as(200, `{`), as(200, `{`)))
	assert.NoError(t, sameBytes(as(200, `{}`, "Etag", `"1"`, "Date", "today"), as(200, `{}`, "Etag", `"1"`)))
	assert.Error(t, sameBytes(as(200, `{}`, "Etag", `"1"`), as(200, `{}`)))
	assert.Error(t, sameBytes(as(200, `{}`), as(200, `{ }`)))
}
