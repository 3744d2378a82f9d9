package sign_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint/jwt/sign"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

func TestTheLawsOfDecorators(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, sign.Members(sign.Spec{Keys: newKeys(t, sign.Key{Algorithm: "EdDSA", Private: privateKey(t, "EdDSA")}),
		Members: []string{"receipt"}, Optional: true}), proxytest.Options{Documents: true})
}

// payloadOf returns the payload of a JWS that a key has signed.
func payloadOf(t *testing.T, keys *sign.Keys, d document.Document) string {
	t.Helper()
	text, ok := d.Text()
	require.True(t, ok)
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
	require.NoError(t, err)
	var set jose.JSONWebKeySet
	require.NoError(t, document.MustParse(string(keys.Public())).Decode(&set))
	payload, err := signed.Verify(set.Keys[0])
	require.NoError(t, err)
	return string(payload)
}

func TestMembersAreReplacedByTheirSignedText(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, sign.Key{ID: "k", Algorithm: "EdDSA", Private: privateKey(t, "EdDSA")})
	const receipt = `{ "total": 30.10, "id": 9007199254740993, "n\u0061me": "x" }`
	p := answers(`{"id":7,"receipt":`+receipt+`,"deep":{"er":{"x":1}},"z":null}`).With(
		sign.Members(sign.Spec{Keys: keys, Members: []string{"receipt", "deep.er"}, Type: "receipt+jwt"}),
		shape.Response(shape.Copy("receipt", "plain")))
	require.NoError(t, pipe.PlanOf(p).Faults())
	res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	d := res.Document
	assert.Equal(t, receipt, payloadOf(t, keys, d.Get(document.PathOf("receipt"))), "byte for byte")
	assert.Equal(t, `{"x":1}`, payloadOf(t, keys, d.Get(document.MustPath("deep.er"))))
	text, _ := d.Get(document.PathOf("receipt")).Text()
	assert.Equal(t, `{"alg":"EdDSA","kid":"k","typ":"receipt+jwt"}`, headerOf(t, text))
	var names []string
	for name := range d.Members() {
		names = append(names, name)
	}
	assert.Equal(t, []string{"id", "receipt", "deep", "z", "plain"}, names)
	assert.Equal(t, receipt, d.Get(document.PathOf("plain")).String())
}

func TestClaimsAreAddedToAMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := newKeys(t, sign.Key{Algorithm: "EdDSA", Private: privateKey(t, "EdDSA")})
		p := answers(`{"token":{"sub":"ada","iss":"upstream","exp":1}}`).With(sign.Members(sign.Spec{Keys: keys, Members: []string{"token"},
			Issuer: "https://id", Lifetime: time.Hour}))
		<-time.After(time.Minute)
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.Equal(t, `{"sub":"ada","iss":"https://id","exp":946688460,"iat":946684860}`, payloadOf(t, keys, res.Document.Get(document.PathOf("token"))))

		p = answers(`{"token":{}}`).With(sign.Members(sign.Spec{Keys: keys, Members: []string{"token"}, Lifetime: time.Second,
			Now: func() time.Time { return time.Unix(5, 0) }}))
		res, err = p(t.Context(), proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.Equal(t, `{"iat":5,"exp":6}`, payloadOf(t, keys, res.Document.Get(document.PathOf("token"))))
	})
}

func TestAMemberThatCannotBeSignedFailsTheAnswer(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, sign.Key{Algorithm: "EdDSA", Private: privateKey(t, "EdDSA")})
	tests := []struct {
		text     string
		required int
		optional int
	}{
		{`{"receipt":{}}`, 200, 200},
		{`{}`, 502, 200},
		{`{"receipt":null}`, 502, 200},
		{`{"receipt":"text"}`, 502, 502},
		{`{"receipt":[]}`, 502, 502},
		{`{"receipt":{"a":1,"\u0061":2}}`, 502, 502},
		{`[]`, 502, 200},
		{`null`, 502, 200},
	}
	for _, tt := range tests {
		for _, optional := range []bool{false, true} {
			p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
				return &proxy.Response{Document: document.MustParse(tt.text), Err: errors.New("a part is missing")}, nil
			}).With(sign.Members(sign.Spec{Keys: keys, Members: []string{"receipt"}, Optional: optional}))
			res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			want := tt.required
			if optional {
				want = tt.optional
			}
			assert.Equal(t, want, proxy.Status(res, err), "%s: %v", tt.text, err)
			if err == nil {
				assert.Error(t, res.Err, "it stays partial")
			}
		}
	}
}

func TestAStreamIsNotSigned(t *testing.T) {
	t.Parallel()
	spec := sign.Spec{Keys: newKeys(t, sign.Key{Algorithm: "EdDSA", Private: privateKey(t, "EdDSA")}), Members: []string{"a"}}
	body := proxytest.NewBody("rows")
	_, err := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: body}, nil
	}).
		With(sign.Members(spec))(t.Context(), proxy.NewRequest("GET", "/"))
	assert.ErrorIs(t, err, proxy.ErrStream)
	body.AssertClosedOnce(t)

	files := pipe.Check(backend.New(backend.Spec{URL: "http://files", Decode: backend.Passthrough}))
	assert.ErrorIs(t, pipe.PlanOf(files.With(sign.Members(spec))).Faults(), proxy.ErrStream)
}

// proves T4
func TestASignerThatFailsFailsTheAnswer(t *testing.T) {
	t.Parallel()
	private := privateKey(t, "ES256")
	for name, signer := range map[string]brokenKMS{"fails": {private, nil, errors.New("kms at 10.0.0.1 is down")}, "panics": {nil, nil, nil}} {
		key := sign.Key{Algorithm: "ES256", Private: signer}
		if name == "panics" {
			key.Private = panicKMS{kms{private}}
		}
		p := answers(`{"a":{}}`).With(pipe.Recover, sign.Members(sign.Spec{Keys: newKeys(t, key), Members: []string{"a"}}))
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.Equal(t, 500, proxy.StatusOf(err), name)
	}
}

// proves O20
func TestASpecThatCannotWorkIsAFault(t *testing.T) {
	t.Parallel()
	good := newKeys(t, sign.Key{Algorithm: "EdDSA", Private: privateKey(t, "EdDSA")})
	tests := []struct {
		spec sign.Spec
		want string
	}{
		{sign.Spec{Members: []string{"a"}}, "sign: Keys: they are nil"},
		{sign.Spec{Keys: sign.NewKeys(), Members: []string{"a"}}, "sign: NewKeys: there are no keys"},
		{sign.Spec{Keys: good}, "sign: Members: there are no Members"},
		{sign.Spec{Keys: good, Members: []string{""}}, "sign: Members: "},
		{sign.Spec{Keys: good, Members: []string{"a", "b.*"}}, `sign: Members: "b.*" has a wildcard`},
		{sign.Spec{Keys: good, Members: []string{"a"}, Lifetime: time.Millisecond}, "sign: Members: Lifetime is 1ms, want 1 s or more"},
		{sign.Spec{Keys: good, Members: []string{"a"}, Lifetime: -time.Hour}, "sign: Members: Lifetime is -1h0m0s, want 1 s or more"},
	}
	for _, tt := range tests {
		assert.ErrorContains(t, pipe.PlanOf(answers(`{}`).With(sign.Members(tt.spec))).Faults(), tt.want)
	}
}

func TestThePlanShowsWhatIsSigned(t *testing.T) {
	t.Parallel()
	es := privateKey(t, "ES256")
	for _, tt := range []struct {
		key  sign.Key
		hons bool
	}{{sign.Key{Algorithm: "ES256", Private: es}, true}, {sign.Key{Algorithm: "ES256", Private: kms{es}}, false}} {
		op := sign.Members(sign.Spec{Keys: newKeys(t, tt.key), Members: []string{"receipt", "order.total"}})
		plan := pipe.PlanOf(pipe.Check(backend.New(backend.Spec{Name: "orders", URL: "http://orders"})).With(op))
		require.NoError(t, plan.Faults())
		assert.Contains(t, plan.String(), "sign (receipt, order.total by ES256)")
		assert.Equal(t, tt.hons, plan.HonoursContext())
	}
}

func BenchmarkMembers(b *testing.B) {
	text := `{"id":7,"receipt":{"text":"` + strings.Repeat("x", 1000) + `"}}`
	private := privateKey(b, "ES256")
	b.Run("members", func(b *testing.B) {
		p := answers(text).With(sign.Members(sign.Spec{Keys: newKeys(b, sign.Key{Algorithm: "ES256", Private: private}), Members: []string{"receipt"}}))
		for b.Loop() {
			_, err := p(b.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(b, err)
		}
	})
	b.Run("go-jose", func(b *testing.B) {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, nil)
		require.NoError(b, err)
		payload := []byte(base64.RawURLEncoding.EncodeToString([]byte(text))[:1000])
		for b.Loop() {
			signed, err := signer.Sign(payload)
			require.NoError(b, err)
			_, err = signed.CompactSerialize()
			require.NoError(b, err)
		}
	})
}
