package document_test

import (
	"context"
	"encoding/json"
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
		"Cursor": {func(w document.Work) (document.Document, error) { c, err := w.Cursor(array); return c.Document(), err },
			func(document.Work) (document.Document, error) { return array.Cursor().Document(), nil }},
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

// decodes are decodings of a document that is large for each of them. The function says what was
// decoded.
func decodes(t testing.TB) map[string]func(ctx context.Context) (any, error) {
	const n = 50_000
	records := document.MustParse(`[` + strings.Repeat(`{"A":1},`, n) + `{}]`)
	names := document.MustParse(`{` + strings.Repeat(`"AC01`+"\u212b"+`":1,`, n) + `"Aa01k":7}`)
	nested := document.MustParse(`{"items":` + records.String() + `,"more":[` + records.String() + `]}`)
	type record struct{ A int }
	type page struct {
		Items []record
		More  any
	}
	list, wideOf, pages := document.DecoderOf[[]record](), document.DecoderOf[wide](), document.DecoderOf[page]()
	return map[string]func(ctx context.Context) (any, error){
		"a list of structs": func(ctx context.Context) (v any, err error) {
			var to []record
			err = list.DecodeContext(ctx, records, &to)
			return to, err
		},
		"a struct of 60 fields from odd names": func(ctx context.Context) (any, error) {
			var to wide
			err := wideOf.DecodeContext(ctx, names, &to)
			return to, err
		},
		"what is nested": func(ctx context.Context) (any, error) {
			var to page
			err := pages.DecodeContext(ctx, nested, &to)
			return to, err
		},
		"any": func(ctx context.Context) (any, error) {
			var to any
			err := document.Work{Context: ctx}.Decode(nested, &to)
			return to, err
		},
		"raw values": func(ctx context.Context) (any, error) {
			var to struct {
				Items json.RawMessage
				More  document.Document
			}
			err := document.Work{Context: ctx}.Decode(nested, &to)
			return []string{string(to.Items), to.More.String()}, err
		},
	}
}

// proves T10
func TestADecodingThatGoesOnAfterItsContext(t *testing.T) {
	t.Parallel()
	for name, decode := range decodes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := decode(context.Background())
			require.NoError(t, err)
			whole := &deadline{Context: t.Context(), left: math.MaxInt}
			got, err := decode(whole)
			require.NoError(t, err)
			assert.Equal(t, want, got)
			require.Greater(t, whole.asked, 10, "it never looks at its context")
			for _, left := range []int{0, 1, whole.asked / 2, whole.asked - 1} {
				ctx := &deadline{Context: t.Context(), left: left}
				_, err := decode(ctx)
				assert.Equal(t, context.DeadlineExceeded, err)
				assert.Equal(t, left+1, ctx.asked, "it goes on after its context")
			}
		})
	}
}

func TestADecodingInPiecesFindsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	list := `[` + strings.Repeat(`1,`, 1<<16) + `"one"]`
	for name, v := range map[string]any{"a list": new([]int), "no list": new(struct{ A string }), "a name": new(map[int]int)} {
		text := list
		if name != "a list" {
			text = `{"A":` + list + `}`
		}
		err := document.Work{Context: t.Context()}.Decode(document.MustParse(text), v)
		e, ok := errors.AsType[*document.Error](err)
		require.True(t, ok, "%s: %v", name, err)
		_, ok = errors.AsType[*json.UnmarshalTypeError](e.Err)
		assert.True(t, ok, name)
	}
	assert.Error(t, document.Work{Context: t.Context()}.Decode(document.MustParse(list), nil))
}

// proves T10
func TestATextThatIsWrittenAfterItsContext(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain": strings.Repeat("a", 1<<20), "escapes": strings.Repeat("\x01\"", 1<<19), "characters": strings.Repeat("é€😀", 1<<17),
		"no characters": strings.Repeat("\x80\xe2", 1<<18), "short": "é",
	} {
		whole := &deadline{Context: t.Context(), left: math.MaxInt}
		got, err := document.AppendStringContext(whole, []byte("x"), text)
		require.NoError(t, err, name)
		assert.True(t, string(document.AppendString([]byte("x"), text)) == string(got), name)
		if name == "short" {
			continue
		}
		for _, left := range []int{0, whole.asked / 2, whole.asked - 1} {
			ctx := &deadline{Context: t.Context(), left: left}
			_, err := document.AppendStringContext(ctx, nil, text)
			assert.Equal(t, context.DeadlineExceeded, err)
			assert.Equal(t, left+1, ctx.asked, name)
		}
	}
}
