package jsonschema_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/jsonschema"
	"github.com/sluice-go/sluice/proxy/document"
)

// A fuse is a context that ends when it has been looked at so often. With no limit it counts.
type fuse struct {
	context.Context
	limit, looks int
}

func (f *fuse) Err() error {
	if f.looks++; f.limit > 0 && f.looks > f.limit {
		return context.DeadlineExceeded
	}
	return nil
}

// doubling is a schema of which each level of a value doubles the work.
const doubling = `{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["b"]},{"properties":{"a":{"$ref":"#"}},"required":["c"]}]}`

func deep(n int) string { return strings.Repeat(`{"a":`, n) + "{}" + strings.Repeat("}", n) }

// large returns schemas, and bodies for them that grow with n.
var large = map[string]struct {
	schema string
	body   func(n int) string
}{
	"elements that fit":       {`{"items":{"type":"number"}}`, func(n int) string { return "[" + strings.Repeat("1,", n) + "1]" }},
	"elements that do not":    {`{"items":{"type":"string"}}`, func(n int) string { return "[" + strings.Repeat("1,", n) + "1]" }},
	"not one of the branches": {`{"items":{"anyOf":[{"type":"string"},{"minimum":2}]}}`, func(n int) string { return "[" + strings.Repeat("1,", n) + "1]" }},
	"unique numbers":          {`{"uniqueItems":true}`, func(n int) string { return "[" + list(n, "%d") + "]" }},
	"unique objects":          {`{"uniqueItems":true}`, func(n int) string { return "[" + list(n, `{"b":1,"a":%d}`) + "]" }},
	"members":                 {`{"additionalProperties":{"type":"number"}}`, func(n int) string { return "{" + list(n, `"name %d":1`) + "}" }},
	"members not evaluated":   {`{"anyOf":[{"patternProperties":{"7$":true}},true],"unevaluatedProperties":{"type":"number"}}`, func(n int) string { return "{" + list(n, `"name %d":1`) + "}" }},
	"members not allowed":     {`{"additionalProperties":false}`, func(n int) string { return "{" + list(n, `"name %d":1`) + "}" }},
	"names":                   {`{"propertyNames":{"pattern":"^name"}}`, func(n int) string { return "{" + list(n, `"name %d":1`) + "}" }},
	"patterns":                {`{"items":{"pattern":"^((a{1,100}){1,10})+$"}}`, func(n int) string { return "[" + strings.Repeat(`"`+strings.Repeat("a", 40)+`",`, n/400) + `"a"]` }},
	"one of many":             {`{"items":{"enum":["a","b",{"c":1}]}}`, func(n int) string { return "[" + strings.Repeat(`{"c":1.0},`, n) + `"a"]` }},
	"contains":                {`{"contains":{"const":2},"minContains":0}`, func(n int) string { return "[" + strings.Repeat("1,", n) + "1]" }},
	"a tree":                  {`{"items":{"$ref":"#"},"type":"array"}`, func(n int) string { return "[" + strings.Repeat("[[]],", n) + "[]]" }},
	"anything":                {`true`, func(n int) string { return "{" + list(n, `"name %d":1`) + "}" }},
}

func list(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(items, ",")
}

// proves T12
func TestTwiceTheBodyTakesTwiceTheSteps(t *testing.T) {
	t.Parallel()
	for name, tt := range large {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := compiled(t, tt.schema)
			looks := func(n int) int {
				f := &fuse{Context: t.Context()}
				_ = schema.Validate(f, document.MustParse(tt.body(n)))
				return f.looks
			}
			assert.LessOrEqual(t, float64(looks(40_000)), 2.2*float64(looks(20_000)))
		})
	}
}

// A validation looks at its context all the time: whenever that ends, it ends.
//
// proves T10
func TestValidateEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, tt := range large {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema, doc := compiled(t, tt.schema), document.MustParse(tt.body(20_000))
			all := &fuse{Context: t.Context()}
			_ = schema.Validate(all, doc)
			for limit := 1; limit < all.looks; limit += 1 + all.looks/20 {
				f := &fuse{Context: t.Context(), limit: limit}
				assert.Equal(t, context.DeadlineExceeded, schema.Validate(f, doc))
				assert.LessOrEqual(t, f.looks, limit+2)
			}
		})
	}
}

// A value is compared no further than the longest constant goes, so a constant at each level of a deep
// body costs no more than the levels.
func TestAValueIsComparedNoFurtherThanItCanBeEqual(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ constant, level, end string }{
		{`{"b":1}`, `{"a":`, "}"},
		{`{"b":1}`, `{"c":"` + strings.Repeat("x", 500) + `","a":`, "}"},
		{`[1]`, `[[],`, "]"},
	} {
		schema := compiled(t, `{"properties":{"a":{"$ref":"#"}},"items":{"$ref":"#"},"not":{"enum":[`+tt.constant+`]}}`)
		looks := func(levels int) int {
			f := &fuse{Context: t.Context()}
			doc := document.MustParse(strings.Repeat(tt.level, levels) + tt.constant + strings.Repeat(tt.end, levels))
			require.ErrorIs(t, schema.Validate(f, doc), jsonschema.ErrInvalid)
			return f.looks
		}
		assert.LessOrEqual(t, float64(looks(500)), 2.2*float64(looks(250)), "%.20s", tt.level)
	}
}

// A long text takes time wherever it is compared or counted, so it is many steps.
//
// proves T10
func TestALongTextIsManySteps(t *testing.T) {
	t.Parallel()
	const branches = 100
	text := strings.Repeat("a", 1<<20)
	escaped := strings.Repeat(`\u0061`, 1<<17)
	for _, tt := range []struct{ name, branch, body string }{
		{"const", `{"const":"b%d"}`, `"` + text + `"`},
		{"const, escaped", `{"const":"b%d"}`, `"` + escaped + `"`},
		{"const of a member", `{"const":{"b%d":1}}`, `{"` + text + `":1}`},
		{"name", `{"required":["b%d"],"properties":{"c":true}}`, `{"` + escaped + `":1}`},
		{"name that is not evaluated", `{"unevaluatedProperties":{"const":%d}}`, `{"` + text + `":1}`},
		{"length", `{"maxLength":%d}`, `"` + text + `"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			schema := compiled(t, `{"oneOf":[`+list(branches, tt.branch)+`]}`)
			f := &fuse{Context: t.Context()}
			_ = schema.Validate(f, document.MustParse(tt.body))
			assert.Greater(t, f.looks, branches)
		})
	}
}

// proves T10
func TestAnExponentialSchemaEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	_, err := jsonschema.New(jsonschema.Spec{Text: doubling})
	require.ErrorContains(t, err, "exponential")
	schema, err := jsonschema.New(jsonschema.Spec{Text: doubling, Branching: true})
	require.NoError(t, err)
	upstream, calls := counted()
	var failure atomic.Value
	h, err := endpoint.New(endpoint.Spec{Proxy: upstream.With(jsonschema.Body(schema)), Timeout: 50 * time.Millisecond,
		Report: func(_ context.Context, err error) { failure.Store(err) }})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	start := time.Now()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(deep(100))))
	assert.Equal(t, http.StatusGatewayTimeout, w.Code)
	assert.Less(t, time.Since(start), 5*time.Second, "it would take 2^100 steps")
	assert.ErrorIs(t, failure.Load().(error), context.DeadlineExceeded)
	assert.Zero(t, calls.Load())
	assert.NoError(t, schema.Validate(t.Context(), document.MustParse(`{"b":1}`)), "its place came back")
}

// Not parallel: it measures what the whole process allocates.
//
// proves T10
func TestValidateAllocatesAFewTimesItsInput(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties the pools of package regexp")
	}
	for name, tt := range large {
		if name == "patterns" {
			continue // package regexp keeps what it needs in a pool, which may be empty
		}
		schema, doc := compiled(t, tt.schema), document.MustParse(tt.body(100_000))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = schema.Validate(t.Context(), doc)
		runtime.ReadMemStats(&after)
		factor := float64(after.TotalAlloc-before.TotalAlloc) / float64(doc.Size())
		t.Logf("%s: %d bytes, %.1f bytes allocated for each", name, doc.Size(), factor)
		assert.Less(t, factor, 16.0, name)
	}
}

// A place costs as much as it is deep, and one answer may not be far larger than the body.
func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	schema := compiled(t, `{"properties":{"levels":{"$ref":"#"},"end":{"additionalProperties":false},"many":{"items":false}}}`)
	for name, end := range map[string]string{
		"members":  `{"end":{` + list(50_000, `"x%d":1`) + `}}`,
		"elements": `{"many":[` + list(50_000, "%d") + `]}`,
	} {
		body := strings.Repeat(`{"levels":`, 500) + end + strings.Repeat("}", 500)
		f := &fuse{Context: t.Context()}
		err := schema.Validate(f, document.MustParse(body))
		invalid, ok := errors.AsType[*jsonschema.Invalid](err)
		require.True(t, ok, name)
		for _, at := range invalid.Locations {
			assert.Less(t, len(at.Pointer), 1050)
			assert.True(t, strings.HasSuffix(at.Pointer, "/…"))
		}
		assert.Len(t, invalid.Locations, 1, "all of them are cut at the same place")
	}
}

// Numbers that take the library that compiles the schemas a second each, or end in a panic there.
func TestNumbersTakeNoTime(t *testing.T) {
	t.Parallel()
	schema := compiled(t, `{"items":{"minimum":0,"maximum":1,"multipleOf":0.5,"type":"integer","enum":[1]}}`)
	for _, number := range []string{"1e-999999", "1e9999999", "-1E+400000000000", "0." + strings.Repeat("0", 1000) + "1"} {
		err := schema.Validate(t.Context(), document.MustParse("["+strings.Repeat(number+",", 1000)+"1]"))
		assert.ErrorIs(t, err, jsonschema.ErrNumber)
	}
	err := schema.Validate(t.Context(), document.MustParse("["+strings.Repeat("1e400,", 10_000)+"1e-400]"))
	assert.ErrorIs(t, err, jsonschema.ErrInvalid)
	invalid, _ := errors.AsType[*jsonschema.Invalid](err)
	assert.Len(t, invalid.Locations, 16)
}

func TestNumbersAreComparedExactly(t *testing.T) {
	t.Parallel()
	const big = "9007199254740993" // 2^53+1, which is no float64
	tests := []struct {
		schema, body string
		fits         bool
	}{
		{`{"maximum":` + big + `}`, "9007199254740994", false},
		{`{"maximum":` + big + `}`, big + ".0", true},
		{`{"const":` + big + `}`, "9007199254740992", false},
		{`{"const":` + big + `}`, big + "e0", true},
		{`{"const":100}`, "1e2", true},
		{`{"const":0}`, "-0.00e5", true},
		{`{"const":0.1}`, "0.10", true},
		{`{"const":-1.5}`, "-15e-1", true},
		{`{"const":1}`, "-1", false},
		{`{"multipleOf":0.1}`, "0.3", true},
		{`{"multipleOf":3}`, "1e1", false},
		{`{"multipleOf":0.01}`, "4.005", false},
		{`{"type":"integer"}`, "1e400", true},
		{`{"type":"integer"}`, "1e-400", false},
		{`{"type":"integer"}`, "120.00e-1", true},
		{`{"type":["integer","string"]}`, "1.5", false},
		{`{"minimum":18446744073709551616}`, "18446744073709551615", false},
		{`{"minimum":1e300}`, "1e301", true},
		{`{"exclusiveMaximum":9223372036854775807}`, "9223372036854775807", false},
	}
	for _, tt := range tests {
		err := compiled(t, tt.schema).Validate(t.Context(), document.MustParse(tt.body))
		assert.Equal(t, tt.fits, err == nil, "%s %s", tt.schema, tt.body)
	}
}
