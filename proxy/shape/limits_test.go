package shape_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

// TestOpsWhoseResultIsAProduct has a row for every op that puts one value into many places.
//
// proves T11
func TestOpsWhoseResultIsAProduct(t *testing.T) {
	long := strings.Repeat("x", 60_000)
	items := `{"v":"` + long + `","list":[1],"items":[` + strings.Repeat(`{},`, 200) + `{}]}`
	arrays := `{"v":"` + long + `","items":[` + strings.Repeat(`[],`, 200) + `[]]}`
	nested := `{"v":"` + long + `","items":[` + strings.Repeat(`[{},{}],`, 200) + `[{}]]}`
	tests := []struct {
		name string
		op   func(shape.Limits) shape.Op
		in   string
		late bool // it stops only while it makes the result, or afterwards
	}{
		{"copy into every element", func(l shape.Limits) shape.Op { return l.Copy("v", "items.*.v") }, items, false},
		{"copy into every element of arrays", func(l shape.Limits) shape.Op { return l.Copy("v", "items.*.*.v") }, nested, false},
		{"copy in place of every element", func(l shape.Limits) shape.Op { return l.Copy("v", "items.*") }, items, false},
		{"copy into every element of every place", func(l shape.Limits) shape.Op { return l.Copy("*.v", "*.items.*.v") }, "[" + items + "]", false},
		{"append to every element", func(l shape.Limits) shape.Op { return l.Append("v", "items.*") }, arrays, false},
		{"append to a new array in every element", func(l shape.Limits) shape.Op { return l.Append("v", "items.*.v") }, items, false},
		{"set in every element", func(l shape.Limits) shape.Op { return l.Set("items.*.v", long) }, items, false},
		{"rename every member", func(l shape.Limits) shape.Op { return l.Rename("items.*.a", long) },
			`{"items":[` + strings.Repeat(`{"a":1},`, 200) + `{}]}`, true},
		{"replace in one string", func(l shape.Limits) shape.Op { return l.Replace("v", "a", long) }, `{"v":"` + strings.Repeat("a", 200) + `"}`, false},
		{"replace in many strings", func(l shape.Limits) shape.Op { return l.Replace("*", "a", long) },
			`[` + strings.Repeat(`"a",`, 200) + `"b"]`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := document.MustParse(tt.in)
			before := allocated()
			_, err := tt.op(shape.Limits{})(t.Context(), d)
			cost := allocated() - before
			var e *document.Error
			require.ErrorAs(t, err, &e)
			assert.ErrorIs(t, err, document.ErrSize)
			if !tt.late {
				assert.Less(t, cost, uint64(4<<20), "it stops before it makes the result")
			}
			made, err := tt.op(shape.Limits{Bytes: 64 << 20})(t.Context(), d)
			require.NoError(t, err)
			assert.Greater(t, made.Size(), 9<<20)
			_, err = tt.op(shape.Limits{Bytes: -1})(t.Context(), d)
			require.NoError(t, err)
			_, err = tt.op(shape.Limits{Bytes: 1})(t.Context(), d)
			assert.ErrorIs(t, err, document.ErrSize)
		})
	}
}

// proves T11
func TestAnOpThatAddsTooMuchIsTheUpstreamsFault(t *testing.T) {
	t.Parallel()
	in := document.MustParse(`{"v":"` + strings.Repeat("x", 60_000) + `","items":[` + strings.Repeat(`{},`, 200) + `{}]}`)
	p := answers(t, in.String()).With(shape.Response(shape.Copy("v", "items.*.v")))
	_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	require.ErrorIs(t, err, document.ErrSize)
	assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
}

// proves T11
func TestABodyThatUsesAValueTooOften(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("x", 1<<20)
	for _, template := range []string{
		`[` + strings.Repeat(`"{body.v}",`, 16) + `1]`,
		`"` + strings.Repeat(`-{body.v}`, 16) + `"`,
		`[` + strings.Repeat(`"-{query.v}",`, 16) + `1]`,
	} {
		ask := func(d proxy.Decorator) error {
			req := proxy.NewRequest("POST", "/")
			req.Query.Set("v", value)
			req.SetBody("application/json", []byte(`{"v":"`+value+`"}`))
			_, err := answers(t, `{}`).With(d)(t.Context(), req)
			return err
		}
		err := ask(shape.Body(template))
		require.ErrorIs(t, err, document.ErrSize, template)
		assert.Equal(t, http.StatusBadRequest, proxy.StatusOf(err))
		assert.NoError(t, ask(shape.Limits{Bytes: 32 << 20}.Body(template)))
		assert.NoError(t, ask(shape.Limits{Bytes: -1}.Body(template)))
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
