package document_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
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
