package document_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A deadline is a context that is over once it has been asked for its error a number of times.
type deadline struct {
	context.Context
	left, asked int
}

func (d *deadline) Err() error {
	if d.asked++; d.asked > d.left {
		return context.DeadlineExceeded
	}
	return nil
}

// works are the operations of a Work on a document that is large for each of them. want does the
// same without one.
func works(t testing.TB) map[string]struct {
	run, want func(w document.Work) (document.Document, error)
} {
	const n = 20_000
	array := document.MustParse(`[` + strings.Repeat(`{"a":1},`, n) + `{}]`)
	object := document.MustParse(`{` + strings.Repeat(`"a":{"\u0061":1},`, n) + `"b":1}`)
	text := "[" + strings.Repeat("1,", n) + "1]"
	all, star := document.MustPath("*.a"), document.MustPath("*")
	paths := document.MustPaths("*.a")
	renames, err := document.ParseRenames("*.a", "b")
	require.NoError(t, err)
	defaults, err := document.DefaultsOf(document.MustParse(`{"c":1}`))
	require.NoError(t, err)
	none := func(d document.Document) (document.Document, error) { return d, nil }
	eachB := document.MustPath("*.b")
	return map[string]struct {
		run, want func(w document.Work) (document.Document, error)
	}{
		"Parse": {func(w document.Work) (document.Document, error) { return w.Parse([]byte(text)) },
			func(document.Work) (document.Document, error) { return document.Parse([]byte(text)) }},
		"Get": {func(w document.Work) (document.Document, error) { return w.Get(array, all) },
			func(document.Work) (document.Document, error) { return array.Get(all), nil }},
		"Get of a name": {func(w document.Work) (document.Document, error) { return w.Get(object, document.MustPath("c")) },
			func(document.Work) (document.Document, error) { return object.Get(document.MustPath("c")), nil }},
		"Keep": {func(w document.Work) (document.Document, error) { return w.Keep(array, paths) },
			func(document.Work) (document.Document, error) { return array.Keep(paths), nil }},
		"Drop": {func(w document.Work) (document.Document, error) { return w.Drop(object, paths) },
			func(document.Work) (document.Document, error) { return object.Drop(paths), nil }},
		"RenameAll": {func(w document.Work) (document.Document, error) { return w.RenameAll(array, renames) },
			func(document.Work) (document.Document, error) { return array.RenameAll(renames), nil }},
		"Set": {func(w document.Work) (document.Document, error) { return w.Set(array, eachB, document.MustParse("1")) },
			func(document.Work) (document.Document, error) { return array.Set(eachB, document.MustParse("1")) }},
		"Copy": {func(w document.Work) (document.Document, error) { return w.Copy(object, all, eachB) },
			func(document.Work) (document.Document, error) { return object.Copy(all, eachB) }},
		"Move": {func(w document.Work) (document.Document, error) { return w.Move(array, all, eachB) },
			func(document.Work) (document.Document, error) { return array.Move(all, eachB) }},
		"Append": {func(w document.Work) (document.Document, error) { return w.Append(object, all, document.MustPath("c")) },
			func(document.Work) (document.Document, error) { return object.Append(all, document.MustPath("c")) }},
		"Map": {func(w document.Work) (document.Document, error) { return w.Map(array, star, none) },
			func(document.Work) (document.Document, error) { return array.Map(star, none) }},
		"Fill": {func(w document.Work) (document.Document, error) { return w.Fill(object, defaults) },
			func(document.Work) (document.Document, error) { return object.Fill(defaults) }},
		"Unwrap": {func(w document.Work) (document.Document, error) { return w.Unwrap(object, "a") },
			func(document.Work) (document.Document, error) { return object.Unwrap("a") }},
		"Merge": {func(w document.Work) (document.Document, error) { return w.Merge(0, object, object) },
			func(document.Work) (document.Document, error) { return document.Merge(0, object, object) }},
		"MergeDisjoint": {func(w document.Work) (document.Document, error) { return w.MergeDisjoint(0, object) },
			func(document.Work) (document.Document, error) { return document.MergeDisjoint(0, object) }},
		"MergeDeep": {func(w document.Work) (document.Document, error) { return w.MergeDeep(0, object, object) },
			func(document.Work) (document.Document, error) { return document.MergeDeep(0, object, object) }},
	}
}

// proves T10
func TestAnOperationThatGoesOnAfterItsContext(t *testing.T) {
	t.Parallel()
	for name, op := range works(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := &deadline{Context: t.Context(), left: math.MaxInt}
			got, err := op.run(document.Work{Context: whole})
			require.NoError(t, err)
			want, err := op.want(document.Work{})
			require.NoError(t, err)
			assert.Equal(t, want.String(), got.String())
			require.Greater(t, whole.asked, 10, "it never looks at its context")
			for _, left := range []int{0, 1, whole.asked / 2, whole.asked - 1} {
				ctx := &deadline{Context: t.Context(), left: left}
				d, err := op.run(document.Work{Context: ctx})
				assert.Equal(t, context.DeadlineExceeded, err)
				assert.True(t, d.IsZero())
				assert.Equal(t, left+1, ctx.asked, "it goes on after its context")
			}
		})
	}
}

// proves T10
func TestAConcatThatBeginsAfterItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := document.Work{Context: ctx}
	list := document.MustParse("[1]")
	d, err := w.Concat(list, list)
	require.NoError(t, err)
	assert.Equal(t, "[1,1]", d.String())
	cancel()
	_, err = w.Concat(list, list)
	assert.Equal(t, context.Canceled, err)
}

func TestAPanicInAFunctionIsNotTakenForAContext(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	assert.PanicsWithValue(t, bug, func() {
		_, _ = document.Work{Context: t.Context()}.Map(document.MustParse("[1]"), document.MustPath("*"),
			func(document.Document) (document.Document, error) { panic(bug) })
	})
}

func TestAWorkAllocatesNoMoreThanTheOperation(t *testing.T) {
	d := document.MustParse(`{"a":{"b":1},"c":[{"d":2},{"e":3}]}`)
	paths, all := document.MustPaths("c.*.d", "a"), document.MustPath("*.b")
	w := document.Work{Context: t.Context()}
	text := []byte(`{"a":1}`)
	for name, op := range map[string]struct{ within, without func() }{
		"Parse": {func() { _, _ = w.Parse(text) }, func() { _, _ = document.Parse(text) }},
		"Keep":  {func() { _, _ = w.Keep(d, paths) }, func() { d.Keep(paths) }},
		"Get":   {func() { _, _ = w.Get(d, all) }, func() { d.Get(all) }},
		"Merge": {func() { _, _ = w.Merge(0, d, d) }, func() { _, _ = document.Merge(0, d, d) }},
	} {
		assert.LessOrEqual(t, testing.AllocsPerRun(100, op.within), testing.AllocsPerRun(100, op.without), name)
	}
}
