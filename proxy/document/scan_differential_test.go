package document

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sameAsOracle fails unless scan and its oracle agree on b: on the verdict, the offset and kind of an
// error, where the value is, and on every member.
func sameAsOracle(t testing.TB, b []byte) {
	t.Helper()
	for _, l := range []Limits{{}, {Depth: 1}, {Depth: 3}, {Depth: 64}, {Depth: -1}, {Members: 1}, {Members: 2, Depth: 2}} {
		var c, oracleClock clock
		got, err := scan(&c, b, l)
		want, oracleErr := oracleScan(&oracleClock, b, l)
		if (err == nil) != (oracleErr == nil) || err != nil && *err.(*Error) != *oracleErr.(*Error) {
			t.Fatalf("%+v of %.2000q: error is %v, want %v", l, b, err, oracleErr)
		}
		if got.start != want.start || got.end != want.end {
			t.Fatalf("%+v of %.2000q: from %d to %d, want %d to %d", l, b, got.start, got.end, want.start, want.end)
		}
		if err != nil {
			continue
		}
		members := got.node.spans
		if (members == nil) != (want.spans == nil) || !slices.Equal(members, want.spans) {
			t.Fatalf("%+v of %.2000q: members are %v, want %v", l, b, members, want.spans)
		}
		if c.left != oracleClock.left {
			t.Fatalf("%+v of %.2000q: %d ticks are left, want %d", l, b, c.left, oracleClock.left)
		}
	}
}

// mutants are the bytes that mean something to a scanner, and some that do not.
const mutants = "\"\\{}[],:0123456789.-+eEtrufalsn \n\t\x00\x1fu\xc3\xa9\xe3\x81\x82\xed\xa0\x80\xf0\x9f\x98\x80abcdD8"

// mutate returns b with one or two bytes replaced, removed or added.
func mutate(r *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	for range 1 + r.IntN(2) {
		if len(b) == 0 {
			break
		}
		i, c := r.IntN(len(b)), mutants[r.IntN(len(mutants))]
		switch r.IntN(3) {
		case 0:
			b[i] = c
		case 1:
			b = slices.Delete(b, i, i+1)
		case 2:
			b = slices.Insert(b, i, c)
		}
	}
	return b
}

// proves F8
func TestScanAgreesWithItsOracleOnTestSuites(t *testing.T) {
	t.Parallel()
	for _, b := range suites(t) {
		sameAsOracle(t, b)
		if len(b) > 2000 {
			continue
		}
		for before := range 17 { // wherever the text begins in a word
			sameAsOracle(t, fmt.Appendf(nil, `["%s",%s]`, strings.Repeat("x", before), b))
			sameAsOracle(t, fmt.Appendf(nil, `{"%s":%s}`, strings.Repeat("x", before), b))
		}
	}
}

// proves F8
func TestScanAgreesWithItsOracleOnMutants(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range shapes {
		for range 1500 {
			b := s.make(r, 100+r.IntN(800))
			sameAsOracle(t, b)
			sameAsOracle(t, b[:r.IntN(len(b))])
			for range 5 {
				sameAsOracle(t, mutate(r, b))
			}
		}
		b := s.make(r, 100<<10)
		require.True(t, json.Valid(b), s.name)
		sameAsOracle(t, b)
	}
}

// The scanner keeps the nesting in words of 64 bits.
//
// proves D8
func TestScanAgreesWithItsOracleOnDepths(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for _, around := range []int{1, 64, 128, 192, DefaultDepth, 1000} {
		for depth := max(around-3, 0); depth <= around+3; depth++ {
			for range 30 {
				b := nested(r, depth)
				sameAsOracle(t, b)
				sameAsOracle(t, mutate(r, b))
				b[r.IntN(len(b))] = "[]{}"[r.IntN(4)]
				sameAsOracle(t, b)
			}
		}
	}
}

// proves T10
func TestScanLooksAtTheContextWhereverItIs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, text := range []string{
		`[` + strings.Repeat("1,", 2*ticks) + `1]`,
		`{` + strings.Repeat(`"a":1,`, 2*ticks) + `"a":1}`,
		strings.Repeat(`[`, 2*ticks) + strings.Repeat(`]`, 2*ticks),
	} {
		c := clock{ctx: ctx, left: ticks}
		require.PanicsWithValue(t, ended{context.Canceled}, func() { _, _ = scan(&c, []byte(text), Limits{Depth: -1}) })
	}
}

// FuzzScan compares the scanner with its oracle.
func FuzzScan(f *testing.F) {
	for _, b := range suites(f) {
		if len(b) < 2000 {
			f.Add(b)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for _, s := range shapes {
		f.Add(s.make(r, 700))
		f.Add(mutate(r, s.make(r, 300)))
	}
	for _, depth := range []int{3, 63, 64, 65, 128} {
		f.Add(nested(r, depth))
	}
	f.Add([]byte(`{"a":"\\\"\ud83d\ude00","name of 16 bytes":[1,-2.5e+3,null,true,false,"é日本"],"":0.12345678901e-12}`))
	f.Fuzz(func(t *testing.T, b []byte) { sameAsOracle(t, b) })
}

// suites returns the files of JSONTestSuite, and the Big List of Naughty Strings as a whole and
// string by string.
func suites(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/jsontestsuite/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all [][]byte
	for _, file := range append(files, "testdata/blns/blns.json") {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		all = append(all, b)
	}
	var naughty []json.RawMessage
	require.NoError(t, json.Unmarshal(all[len(all)-1], &naughty))
	for _, s := range naughty {
		all = append(all, s)
	}
	return all
}

// nested returns a number in arrays and objects.
func nested(r *rand.Rand, depth int) []byte {
	b := []byte("1")
	for range depth {
		switch r.IntN(4) {
		case 0:
			b = slices.Concat([]byte("["), b, []byte("]"))
		case 1:
			b = slices.Concat([]byte(`{"a":`), b, []byte("}"))
		case 2:
			b = slices.Concat([]byte(`[{}, `), b, []byte(",[]]"))
		default:
			b = slices.Concat([]byte(`{"a":[],"a longer name":`), b, []byte(`,"c":{}}`))
		}
	}
	return b
}

// shapes make documents of at least size bytes that look like others that scanners are measured with.
var shapes = []struct {
	name string
	make func(r *rand.Rand, size int) []byte
}{
	{"mixed", func(r *rand.Rand, size int) []byte { // what an API answers
		return list(`{"items":[`, `],"total":72,"next":null,"page":1}`, size, func(i int) string {
			return fmt.Sprintf(`{"id":"user-%08d","name":%q,"email":"c%d@example.com","price":%.2f,"count":%d,"active":%t,"address":{"city":"Springfield","zip":"%05d"},"tags":["new","eu"],"parent":null}`,
				i*7919, words(r), i, r.Float64()*1000, r.IntN(1000), i%2 == 0, r.IntN(99999))
		})
	}},
	{"twitter", func(r *rand.Rand, size int) []byte { // indented, with characters of several bytes and escapes
		return list("{\n  \"statuses\": [\n", "\n  ]\n}\n", size, func(i int) string {
			text := []string{`@aym0566x 名前:前田あゆみ 第一印象:なんか怖っ！`, `RT \"そう\" http:\/\/t.co\/x`, `\ud83d\ude00 мир é`, `plain`}[r.IntN(4)]
			return fmt.Sprintf("    {\n      \"created_at\": \"Sun Aug 31 00:29:%02d +0000 2014\",\n      \"id\": %d,\n      \"text\": \"%s\",\n      \"truncated\": false,\n      \"geo\": null,\n      \"user\": {\n\t\"followers_count\": %d\r\n      }\n    }",
				i%60, r.Uint64(), text, r.IntN(5000))
		})
	}},
	{"citm", func(r *rand.Rand, size int) []byte { // many members of the root and of what is in it, with short values
		return list(`{ "areaNames": {}`+`, "events": {}, `, `}`, size, func(i int) string {
			return fmt.Sprintf(`"%d": { "description": null, "id": %d, "prices": [ { "amount": %d, "audienceSubCategoryId": 337100890 } ], "topicIds": [%d,%d], "s":%q }`,
				205705993+i, 138586341+i, r.IntN(200000), i, r.IntN(10), "xxxxxxxxxxxxxxxxxx"[:r.IntN(18)])
		})
	}},
	{"canada", func(r *rand.Rand, size int) []byte { // coordinates
		return list(`{"type":"FeatureCollection","coordinates":[[`, `]]}`, size, func(i int) string {
			digits := r.IntN(18)
			return fmt.Sprintf("[%.*f,%.*e,%d]", digits, r.NormFloat64()*100, digits, r.NormFloat64(), -r.IntN(1<<(1+i%40)))
		})
	}},
}

// list returns enough elements for a size between head and tail.
func list(head, tail string, size int, element func(int) string) []byte {
	b := bytes.NewBufferString(head)
	for i := 0; i == 0 || b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(element(i))
	}
	return append(b.Bytes(), tail...)
}

// words returns some words.
func words(r *rand.Rand) string {
	some := []string{"The", "quick", "brown", "fox", "jumps", "over", "Łódź", "a\"b", "internationalization"}
	var out []string
	for range 1 + r.IntN(6) {
		out = append(out, some[r.IntN(len(some))])
	}
	return strings.Join(out, " ")
}
