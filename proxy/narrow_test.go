package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
)

// The types below have everything that makes the names of JSON objects difficult: letter case,
// tags, embedding, methods, recursion.
type (
	narrowBase  struct{ Base, Shared string }
	narrowOther struct{ Shared string }
	narrowDeep  struct {
		Kids  []narrowDeep
		Next  *narrowDeep
		ByKey map[string]narrowDeep
		V     int
	}
	narrowOwn struct{ text string }
	narrowAll struct {
		narrowBase
		*narrowOther
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
		Deep   narrowDeep
		Own    narrowOwn
		Any    any
		Raw    json.RawMessage
		When   time.Time
		Array  [2]struct{ N int }
		Ptr    **struct{ N *int }
		Quoted int `json:",string"`
	}
)

func (n *narrowOwn) UnmarshalJSON(b []byte) error {
	if string(b) == `"refused"` {
		return errors.New("refused")
	}
	n.text = string(b)
	return nil
}

func decodesAlike[T any](t *testing.T, decode pipe.Pipe[*proxy.Request, T], doc []byte) {
	t.Helper()
	got, err := decode(t.Context(), &proxy.Request{Path: string(doc)})
	var want T
	wantErr := json.Unmarshal(doc, &want)
	if wantErr != nil {
		var none T
		want = none
	}
	assert.True(t, reflect.DeepEqual(want, got), "%s into %T:\n%+v, want\n%+v", doc, want, got, want)
	if err == nil || wantErr == nil {
		assert.Equal(t, wantErr, err, "%s into %T", doc, want)
		return
	}
	assert.Equal(t, "decode: document: "+wantErr.Error(), err.Error(), "%s into %T", doc, want)
}

// Decode passes to encoding/json only the members that the type can use. The result must be the
// same.
func FuzzDecodeAgreesWithEncodingJSON(f *testing.F) {
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
	says := func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Parse([]byte(r.Path))
		return &proxy.Response{Document: doc}, err
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if _, err := document.Parse(doc); err != nil {
			return
		}
		// A new pipe each time: after a document that is mostly used, a pipe does not narrow the
		// next ones.
		decodesAlike(t, proxy.Decode[narrowAll](says), doc)
		decodesAlike(t, proxy.Decode[narrowDeep](says), doc)
		decodesAlike(t, proxy.Decode[[]narrowDeep](says), doc)
		decodesAlike(t, proxy.Decode[map[string]narrowDeep](says), doc)
		decodesAlike(t, proxy.Decode[map[string][]struct{ V int }](says), doc)
		decodesAlike(t, proxy.Decode[struct{}](says), doc)
	})
}
