package document_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The types below make it hard to match the names of JSON objects: by cases, tags, embedding,
// methods and recursion.
type (
	hardBase  struct{ Base, Shared string }
	hardOther struct{ Shared string }
	hardDeep  struct {
		Kids  []hardDeep
		Next  *hardDeep
		ByKey map[string]hardDeep
		V     int
	}
	hardOwn struct{ text string }
	hardAll struct {
		hardBase
		*hardOther
		A       int             `json:"a"`
		AA      string          `json:"A"`
		Kelvin  string          `json:"kelvin"`
		Long    string          `json:"longſ"`
		Tagged  string          `json:"x,omitempty"`
		Strange struct{ Q int } `json:"y z"`
		Hidden  string          `json:"-"`
		//lint:ignore SA5008 the name is a dash
		Dash int `json:"-,"`
		//lint:ignore U1000 encoding/json must not look at it
		inner  string
		Deep   hardDeep
		Own    hardOwn
		Any    any
		Raw    json.RawMessage
		When   time.Time
		Array  [2]struct{ N int }
		Ptr    **struct{ N *int }
		Quoted int `json:",string"`
	}
)

func (n *hardOwn) UnmarshalJSON(b []byte) error {
	if string(b) == `"refused"` {
		return errors.New("refused")
	}
	n.text = string(b)
	return nil
}

func decodesAlike[T any](t *testing.T, text []byte) {
	t.Helper()
	d, err := document.Parse(bytes.Clone(text))
	require.NoError(t, err)
	var got, want T
	err = document.DecoderOf[T]().Decode(d, &got) // a new one: after a wide document a decoder skips projection
	wantErr := json.Unmarshal(text, &want)
	assert.True(t, reflect.DeepEqual(want, got), "%s into %T:\n%+v, want\n%+v", text, want, got, want)
	if err == nil || wantErr == nil {
		assert.Equal(t, wantErr, err, "%s into %T", text, want)
		return
	}
	assert.Equal(t, "document: "+wantErr.Error(), err.Error(), "%s into %T", text, want)
}

// FuzzDecoder checks that a Decoder, which hands encoding/json only what the type can use, decodes
// the same as encoding/json.
func FuzzDecoder(f *testing.F) {
	for _, doc := range []string{
		`{"base":"1","SHARED":"2","Shared":"3","a":1,"A":"2","KELVIN":"k","\u004belvin":"K","longS":"s","LONGſ":"t","x":"x","Tagged":"no"}`,
		`{"a":"wrong","A":1}`, `{"Aa":1,"aA":"x"}`, `{"y z":{"Q":1,"R":2},"Strange":{"q":3,"r":4},"-":5,"Hidden":"no","inner":"no"}`,
		`{"Deep":{"kids":[{"v":1,"w":2},{"v":2,"kids":[{}]}],"next":{"next":{"V":3,"X":[]}},"bykey":{"a":{"v":4,"u":5},"b":null}}}`,
		`{"own":{"a":[1]},"any":{"a":{"b":[1,2,{"c":null}]}},"raw": {"a" : 1 },"when":"2026-01-02T03:04:05Z"}`,
		`{"own":"refused"}`, `{"when":"tomorrow"}`, `{"array":[{"n":1,"m":2},{"N":2},{"n":3}],"ptr":{"n":1,"m":2}}`,
		`{"deep":{"v":1},"deep":{"kids":[]},"Deep":[1]}`, `{"quoted":"1"}`, `{"quoted":1}`, `[]`, `null`, `1`, `"x"`, `{}`, `{"unknown":{"a":[1,{"b":"c"}]}}`,
		`[{"v":1,"u":[1]},{"next":null}]`, `{"k":{"v":1,"u":2},"l":{}}`, " { \"a\" : 1 , \"b\" : [ 1 , 2 ] } ", `{"K":1}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := document.Parse(bytes.Clone(text)); err != nil {
			return
		}
		decodesAlike[hardAll](t, text)
		decodesAlike[hardDeep](t, text)
		decodesAlike[[]hardDeep](t, text)
		decodesAlike[map[string]hardDeep](t, text)
		decodesAlike[map[string][]struct{ V int }](t, text)
		decodesAlike[struct{}](t, text)
	})
}

type (
	// Inner is embedded in two structs, so that its Shared is ambiguous in the third.
	Inner struct{ Shared struct{ P int } }
	Left  struct{ Inner }
	Right struct{ Inner }
	both  struct {
		Left
		Right
		Other struct{ Q int } `json:"shared"`
	}
)

func TestANameThatFoldsToAnAmbiguousOneIsDecoded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"Shared":{"P":1,"Q":2}}`, `{"shared":{"P":1,"Q":2}}`, `{"SHARED":{"P":1,"Q":2}}`} {
		decodesAlike[both](t, []byte(text))
		decodesAlike[struct {
			A struct{ P int }
			B struct{ Q int } `json:"a"`
		}](t, []byte(strings.ReplaceAll(strings.ReplaceAll(text, "Shared", "A"), "shared", "a")))
	}
}

// The types below contain themselves.
type (
	tree     map[string]tree
	list     []list
	pointer  *pointer
	pointers []*pointers
	rows     []struct {
		V    int
		Next rows
	}
	twice map[string][]map[string]twice
)

// proves T13
func TestATypeThatContainsItselfCanBeDecoded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`null`, `{}`, `[]`, `{"a":{"b":{}}}`, `[[],[[]]]`, `[{"v":1,"x":2,"next":[{"V":2,"y":[]}]}]`, `{"a":[{"b":[]}]}`} {
		decodesAlike[tree](t, []byte(text))
		decodesAlike[list](t, []byte(text))
		decodesAlike[pointers](t, []byte(text))
		decodesAlike[rows](t, []byte(text))
		decodesAlike[twice](t, []byte(text))
		decodesAlike[struct {
			A tree
			B *rows
		}](t, []byte(text))
	}
	assert.NotNil(t, document.DecoderOf[pointer](), "which is of no use, but is made")
	assert.NotNil(t, document.EncoderOf[tree]())
	assert.NotNil(t, document.EncoderOf[pointer]())
}

// proves T13
func TestADocumentWithoutALimitOfDepthDoesNotExhaustTheStack(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(64 << 20)) // so that a million levels are enough
	const levels = 1_000_000
	text := strings.Repeat(`{"Next":`, levels) + "{}" + strings.Repeat("}", levels)
	d, err := document.Limits{Depth: -1}.Parse([]byte(text))
	require.NoError(t, err)
	var v hardDeep
	assert.ErrorContains(t, document.DecoderOf[hardDeep]().Decode(d, &v), "exceeded max depth")
	assert.ErrorContains(t, d.Decode(&v), "exceeded max depth")
	assert.Equal(t, levels+1, d.Depth())
	assert.Equal(t, document.Object, d.Get(document.MustPath("Next.Next")).Kind())
	assert.False(t, d.Drop(document.MustPaths("Next.Next.Next")).IsZero())
	assert.Equal(t, "{}", d.Keep(document.MustPaths("other")).String())
	assert.Equal(t, d.Size(), d.Cursor().Document().Size())
	_, err = document.MergeDeep(0, d, d)
	assert.ErrorIs(t, err, document.ErrDepth)
}
