package peers

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	randv2 "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	golangjwt "github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/endpoint/jwt/jwttest"
	"github.com/sluice-go/sluice/proxy"
)

// Readers are three readers of the tokens of one issuer, set up alike.
type readers struct {
	key                *ecdsa.PrivateKey
	kid                string
	ours, golang, jose func(token string) error
}

func newReaders(t *testing.T) *readers {
	issuer, err := jwttest.NewIssuer("ES256")
	require.NoError(t, err)
	r := &readers{key: issuer.Signer().(*ecdsa.PrivateKey), kid: issuer.KeyID()}
	tokens, err := jwt.New(jwt.Spec{Keys: jwt.ParseKeys(issuer.KeySet()), Issuer: "https://id.test", Audience: []string{"orders"},
		Algorithms: []string{"ES256"}, Remember: -1})
	require.NoError(t, err)
	r.ours = func(token string) error {
		req := proxy.NewRequest("GET", "/")
		req.Header["Authorization"] = []string{"Bearer " + token}
		_, err := tokens.Authenticate(t.Context(), req)
		return err
	}
	parser := golangjwt.NewParser(golangjwt.WithValidMethods([]string{"ES256"}), golangjwt.WithIssuer("https://id.test"),
		golangjwt.WithAudience("orders"), golangjwt.WithExpirationRequired(), golangjwt.WithLeeway(10*time.Second),
		golangjwt.WithIssuedAt(), golangjwt.WithStrictDecoding())
	r.golang = func(token string) error {
		_, err := parser.Parse(token, func(parsed *golangjwt.Token) (any, error) {
			if kid, named := parsed.Header["kid"]; named && kid != r.kid {
				return nil, errors.New("another kid")
			}
			return &r.key.PublicKey, nil
		})
		return err
	}
	r.jose = func(token string) error {
		parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			return err
		}
		var c josejwt.Claims
		if err := parsed.Claims(&r.key.PublicKey, &c); err != nil {
			return err
		}
		if c.Expiry == nil {
			return errors.New("no exp")
		}
		return c.ValidateWithLeeway(josejwt.Expected{Issuer: "https://id.test", AnyAudience: []string{"orders"}, Time: time.Now()}, 10*time.Second)
	}
	return r
}

func (r *readers) sign(t *testing.T, header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	sum := sha256.Sum256([]byte(input))
	x, y, err := ecdsa.Sign(rand.Reader, r.key, sum[:])
	require.NoError(t, err)
	signature := make([]byte, 64)
	x.FillBytes(signature[:32])
	y.FillBytes(signature[32:])
	return input + "." + encode(signature)
}

// agree fails the test if a token is good here and nowhere else, and returns whether it is good.
func (r *readers) agree(t *testing.T, token string, what ...any) bool {
	t.Helper()
	if r.ours(token) != nil {
		return false
	}
	golang, jose := r.golang(token), r.jose(token)
	assert.True(t, golang == nil || jose == nil, "%v: golang-jwt: %v; go-jose: %v", what, golang, jose)
	return true
}

func TestNoChangedTokenIsGood(t *testing.T) {
	t.Parallel()
	r := newReaders(t)
	token := r.sign(t, fmt.Sprintf(`{"alg":"ES256","kid":%q}`, r.kid),
		fmt.Sprintf(`{"iss":"https://id.test","aud":"orders","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	require.NoError(t, r.ours(token))
	for i := range token {
		for c := range 256 {
			if byte(c) != token[i] {
				assert.Error(t, r.ours(token[:i]+string([]byte{byte(c)})+token[i+1:]), "%d %d", i, c)
			}
		}
		for _, changed := range []string{token[:i], token[:i] + token[i+1:], token[:i] + "\n" + token[i:], token[:i] + "=" + token[i:],
			token[:i] + "." + token[i:]} {
			assert.Error(t, r.ours(changed), "%d", i)
		}
	}
}

// A signed token is good here only if another reader takes it too. Either one alone refuses what says
// nothing to us, as a number in a scope that is too large for a float.
func TestTokensThatAreGoodAreGoodElsewhere(t *testing.T) {
	t.Parallel()
	r := newReaders(t)
	chance := randv2.New(randv2.NewPCG(1, 2))
	of := func(texts ...string) string { return texts[chance.IntN(len(texts))] }
	exp := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	values := []string{"1e9", "-0", "1.5", "1e400", `"123"`, `"` + exp + `"`, exp + ".0", exp + ".5", "1.9e9", "19E+8", "0", "-1", "null", "true",
		"[]", "{}", "9223372036854775808", "253402300800", "1e-400", `"x"`, `["orders"]`, `["orders",1]`, `"orders "`, `["x","orders"]`,
		"\"\xff\"", `"\ud800"`, strings.Repeat("[", 200) + strings.Repeat("]", 200)}
	usual := map[string]string{"iss": `"https://id.test"`, "aud": `"orders"`, "exp": exp, "nbf": "1", "iat": "1", "sub": `"ada"`, "scope": `"a"`,
		"EXP": "1", "Iss": `"https://evil.test"`}
	good := 0
	for range 4000 {
		header := []string{`"alg":` + of(`"ES256"`, `"ES256"`, `"ES256"`, `"ES384"`, `"none"`, "1")}
		for range chance.IntN(3) {
			header = append(header, of(`"kid"`, `"typ"`, `"crit"`, `"b64"`, `"cty"`, `"x"`, `"alg"`, `"Alg"`, `"jku"`, `"jwk"`)+":"+
				of(`"`+r.kid+`"`, `"JWT"`, `"ES256"`, "1", "null", "[]", `["exp"]`, "{}", "false"))
		}
		var payload []string
		for _, name := range slices.Sorted(maps.Keys(usual)) {
			value := usual[name]
			switch chance.IntN(12) {
			case 0:
				payload = append(payload, fmt.Sprintf("%q:%s", name, of(values...)))
			case 1:
				payload = append(payload, fmt.Sprintf("%q:%s,%q:%s", name, value, name, of(values...)))
			case 2:
			default:
				payload = append(payload, fmt.Sprintf("%q:%s", name, value))
			}
		}
		chance.Shuffle(len(header), func(i, j int) { header[i], header[j] = header[j], header[i] })
		h, p := "{"+strings.Join(header, ",")+"}", "{"+strings.Join(payload, ",")+"}"
		if r.agree(t, r.sign(t, h, p), h, p) {
			good++
		}
	}
	assert.Greater(t, good, 100)
}
