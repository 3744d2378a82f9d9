package document_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestZeroCursorStandsAtNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []document.Cursor{{}, document.Document{}.Cursor()} {
		assert.Equal(t, document.Absent, c.Kind())
		assert.True(t, c.IsEmpty())
		assert.True(t, c.Document().IsZero())
		assert.Equal(t, "kept", string(c.AppendJSON([]byte("kept"))))
		_, ok := c.Text()
		assert.False(t, ok)
		for range c.Members() {
			assert.Fail(t, "a member of nothing")
		}
		for range c.Elements() {
			assert.Fail(t, "an element of nothing")
		}
	}
}

// assertReadsAlike checks that a cursor finds the same values as a Document, and returns how many
// there are.
func assertReadsAlike(t *testing.T, d document.Document, c document.Cursor) int {
	t.Helper()
	n := 1
	require.Equal(t, d.Kind(), c.Kind())
	require.Equal(t, d.String(), string(c.AppendJSON(nil)))
	require.Equal(t, d.String(), c.Document().String())
	require.Equal(t, d.Len() == 0, c.IsEmpty())
	wantText, wantOK := d.Text()
	text, ok := c.Text()
	require.Equal(t, wantText, text)
	require.Equal(t, wantOK, ok)

	var names []string
	var values []document.Document
	for name, value := range d.Members() {
		names, values = append(names, name), append(values, value)
	}
	k := 0
	for name, value := range c.Members() {
		require.Less(t, k, len(values))
		require.Equal(t, names[k], name)
		n += assertReadsAlike(t, values[k], value)
		k++
	}
	require.Len(t, values, k)

	values = nil
	for _, e := range d.Elements() {
		values = append(values, e)
	}
	k = 0
	for i, e := range c.Elements() {
		require.Equal(t, k, i)
		require.Less(t, k, len(values))
		n += assertReadsAlike(t, values[k], e)
		k++
	}
	require.Len(t, values, k)
	return n
}

func TestCursorFindsEveryValue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		values   int
	}{
		{"a scalar", ` -1.50E+400 `, 1},
		{"a string with escapes", `"\u0061\"\\\ud83d\ude00"`, 1},
		{"nothing inside", ` { } `, 1},
		{"white space", " [ 1 , { \"a\" : [ ] , \"b\"\n:\t{ } } , null ] ", 6},
		{"names like brackets", `{"[":"]}","}":{"\"":"{"},"Yy_\u007f":[],"é{":"日本]"}`, 6},
		{"equal names", `{"a":1,"\u0061":[[2],3],"a":{"b":{"c":[]}}}`, 9},
		{"text between brackets", `[["long enough for several words of eight bytes"],["\\",{"a\\":"\\\""}],true,[false,[[0]]]]`, 13},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, tt.in)
			assert.Equal(t, tt.values, assertReadsAlike(t, d, d.Cursor()))
			rope := d.Wrap("a").Wrap("b")
			assert.Equal(t, tt.values+2, assertReadsAlike(t, rope, rope.Cursor()))
		})
	}
}

func TestCursorCanBeLeftAndReadAgain(t *testing.T) {
	t.Parallel()
	root := parse(t, `{"a":{"x":[1,2,3],"y":4},"b":[[5],[6,[7]]]}`).Cursor()
	places := map[string]document.Cursor{}
	for name, value := range root.Members() {
		places[name] = value
		for range value.Members() {
			break
		}
		for range value.Elements() {
			break
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			assert.Equal(t, `{"x":[1,2,3],"y":4}`, places["a"].Document().String())
			var got []string
			for _, e := range places["b"].Elements() {
				got = append(got, e.Document().String())
			}
			assert.Equal(t, []string{"[5]", "[6,[7]]"}, got)
		})
	}
	wg.Wait()
}

func TestCursorStepsNeedNoMemory(t *testing.T) {
	root := parse(t, `{"name":"Ann","list":[{"id":1,"deep":{"a":[{"b":"c"}]}},{"id":2}]}`).Cursor()
	values, letters := 0, 0
	var read func(document.Cursor)
	read = func(c document.Cursor) {
		text, _ := c.Text()
		values, letters = values+1, letters+len(text)
		for name, value := range c.Members() {
			letters += len(name)
			read(value)
		}
		for _, e := range c.Elements() {
			read(e)
		}
	}
	assert.Zero(t, testing.AllocsPerRun(10, func() { read(root) }))
	assert.Equal(t, 11*11, values, "each value is read once in each of eleven runs")
	assert.Equal(t, 11*24, letters)
}

func TestCursorStepsOverAnythingInConstantTime(t *testing.T) {
	t.Parallel()
	const levels = 20_000
	large := "[0" + strings.Repeat(",0", 1<<20) + "]"
	d, err := document.Limits{Depth: -1}.Parse([]byte(strings.Repeat(`{"a":`, levels) + large + strings.Repeat("}", levels)))
	require.NoError(t, err)
	depth := 0
	for c := d.Cursor(); c.Kind() == document.Object; depth++ { // with a Document this would read 40 GB
		for _, value := range c.Members() {
			c = value
		}
	}
	assert.Equal(t, levels, depth)
}

// FuzzCursor compares a cursor with the Document that it reads.
func FuzzCursor(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"\u0062":"\n"}],"":{}, "c" : [ [ ] , null ] }`))
	f.Add([]byte("[\"aaaaaaaa\u00e9\u00e9]\",{\"Y\":\"}\"}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := document.Limits{Depth: 50}.Parse(bytes.Clone(b))
		if err != nil {
			return
		}
		assertReadsAlike(t, d, d.Cursor())
	})
}
