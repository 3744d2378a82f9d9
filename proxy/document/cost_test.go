package document_test

import (
	"encoding/json"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type wide struct {
	Aa01k, Aa02k, Aa03k, Aa04k, Aa05k, Aa06k, Aa07k, Aa08k, Aa09k, Aa10k int
	Ab01k, Ab02k, Ab03k, Ab04k, Ab05k, Ab06k, Ab07k, Ab08k, Ab09k, Ab10k int
	Ac01k, Ac02k, Ac03k, Ac04k, Ac05k, Ac06k, Ac07k, Ac08k, Ac09k, Ac10k int
	Ad01k, Ad02k, Ad03k, Ad04k, Ad05k, Ad06k, Ad07k, Ad08k, Ad09k, Ad10k int
	Ae01k, Ae02k, Ae03k, Ae04k, Ae05k, Ae06k, Ae07k, Ae08k, Ae09k, Ae10k int
	Af01k, Af02k, Af03k, Af04k, Af05k, Af06k, Af07k, Af08k, Af09k, Af10k int
}

// proves T12
func TestAWideStructTakesWhatEncodingJSONTakes(t *testing.T) {
	t.Parallel()
	type small struct{ Aa01k, Straße int }
	for _, name := range []string{"Aa01k", "aA01K", "Aa01\u212a", `Aa01\u212a`, "Aa01", "aa01kk", "Af10k", "ſ", "af10\u212a", "", "é", "STRAßE", "STRA\u1e9eE",
		strings.Repeat("a", 1000)} {
		doc := document.MustParse(`{"` + name + `":7,"Ab01k":1}`)
		var got, want wide
		require.NoError(t, document.DecoderOf[wide]().Decode(doc, &got))
		require.NoError(t, json.Unmarshal([]byte(doc.String()), &want))
		assert.Equal(t, want, got, name)
		var few, asMany small
		require.NoError(t, document.DecoderOf[small]().Decode(doc, &few))
		require.NoError(t, json.Unmarshal([]byte(doc.String()), &asMany))
		assert.Equal(t, asMany, few, name)
	}
}

// A list of the edits would cost 200 bytes and more for each byte of such documents. Not parallel: it
// measures what the whole process allocates.
//
// proves T11
func TestManyEditsCostNoMoreThanAFewTimesTheirText(t *testing.T) {
	const n = 100_000
	array := func(element string) document.Document {
		return document.MustParse(`{"in":[` + strings.Repeat(element+",", n) + element + `],"v":2}`)
	}
	renames, err := document.ParseRenames("in.*.a", "b")
	require.NoError(t, err)
	path, two := document.MustPath, document.MustParse(`2`)
	tests := []struct {
		name    string
		element string
		edit    func(d document.Document) (document.Document, error)
		most    float64 // bytes for each byte of the document
	}{
		{"Set", "1", func(d document.Document) (document.Document, error) { return d.Set(path("in.*"), two) }, 4},
		{"Set a new member", "{}", func(d document.Document) (document.Document, error) { return d.Set(path("in.*.a"), two) }, 4},
		{"Append", "[]", func(d document.Document) (document.Document, error) { return d.Append(path("v"), path("in.*")) }, 4},
		{"Copy", "{}", func(d document.Document) (document.Document, error) { return d.Copy(path("v"), path("in.*.a")) }, 4},
		{"Rename", `{"a":1}`, func(d document.Document) (document.Document, error) { return d.RenameAll(renames), nil }, 8},
		{"Map", "1", func(d document.Document) (document.Document, error) {
			return d.Map(path("in.*"), func(document.Document) (document.Document, error) { return two, nil })
		}, 64}, // each value is a Document
	}
	for _, tt := range tests {
		d := array(tt.element)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		edited, err := tt.edit(d)
		runtime.ReadMemStats(&after)
		require.NoError(t, err, tt.name)
		factor := float64(after.TotalAlloc-before.TotalAlloc) / float64(d.Size())
		t.Logf("%s: %d bytes of %d, %.1f bytes allocated for each", tt.name, edited.Size(), d.Size(), factor)
		assert.Less(t, factor, tt.most, tt.name)
	}
}

func BenchmarkDecodeOddNames(b *testing.B) {
	for _, n := range []int{1 << 18, 1 << 19} { // twice the input, twice the time
		const member = "\"AC01\u212b\":1,"
		d := document.MustParse("{" + strings.Repeat(member, n/len(member)) + `"x":1}`)
		dec := document.DecoderOf[wide]()
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(d.Size()))
			for b.Loop() {
				var w wide
				if err := dec.Decode(d, &w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeWithin decodes in pieces, because its context can end. Its peer is encoding/json,
// which nothing can end.
func BenchmarkDecodeWithin(b *testing.B) {
	for _, n := range []int{1 << 20, 1 << 21} { // twice the input, twice the time
		flat := `[` + strings.Repeat(`{"a":1},`, n/8) + `{}]`
		for name, text := range map[string]string{
			"flat": flat,
			"deep": strings.Repeat(`{"a":[`, 200) + flat + strings.Repeat(`]}`, 200),
		} {
			d := document.MustParse(text)
			b.Run(name+"/"+strconv.Itoa(n)+"/document", func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					var v any
					if err := (document.Work{Context: b.Context()}).Decode(d, &v); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(name+"/"+strconv.Itoa(n)+"/json", func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					var v any
					if err := json.Unmarshal([]byte(text), &v); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
