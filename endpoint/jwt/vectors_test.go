package jwt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jwt"
)

// all are the algorithms that there are.
var all = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// A vector is a token of Wycheproof, and its key or key set.
type vector struct {
	id      int
	comment string
	token   string
	key     json.RawMessage
	valid   bool
}

// wycheproof returns the vectors of a file that have a JWS.
func wycheproof(t *testing.T, name string) []vector {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "wycheproof", name))
	require.NoError(t, err)
	var file struct {
		TestGroups []struct {
			Public, Private json.RawMessage
			Tests           []struct {
				TcID            int
				Comment, Result string
				JWS             json.RawMessage
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &file))
	var vectors []vector
	for _, g := range file.TestGroups {
		key := g.Public
		if key == nil {
			key = g.Private
		}
		for _, tt := range g.Tests {
			if tt.JWS == nil {
				continue // a JWE
			}
			token := ""
			if json.Unmarshal(tt.JWS, &token) != nil {
				token = string(tt.JWS) // in JSON form
			}
			vectors = append(vectors, vector{tt.TcID, tt.Comment, token, key, tt.Result == "valid"})
		}
	}
	return vectors
}

// verifies reports whether the token is one of its key.
func (v vector) verifies(t *testing.T) bool {
	set := v.key
	var keys struct{ Keys []json.RawMessage }
	if require.NoError(t, json.Unmarshal(set, &keys)); keys.Keys == nil {
		set = slices.Concat([]byte(`{"keys":[`), set, []byte(`]}`))
	}
	parsed := jwt.ParseKeys(set)
	if parsed.Fault() != nil {
		return false
	}
	_, err := jwt.Payload(parsed, all, v.token)
	return err == nil
}

// proves T9
func TestSignaturesOfWycheproof(t *testing.T) {
	t.Parallel()
	// What is different from the label, and why.
	explained := map[int]string{
		346: "the key is for PS256, and the token has PS384",
		347: "the key is for ES521, which is no algorithm",
		350: "the key is for PS256, and the token has PS384",
		351: "the key is for ES521, which is no algorithm",
		367: "the vector has no padding: it is the valid token",
		370: "the vector has no padding: it is the valid token",
		372: "the header has a character that is none of base64url",
		373: "the payload has a character that is none of base64url",
	}
	vectors := wycheproof(t, "json_web_signature_test.json")
	assert.Len(t, vectors, 401)
	for _, v := range vectors {
		want := v.valid != (explained[v.id] != "")
		assert.Equal(t, want, v.verifies(t), "%d: %s", v.id, v.comment)
	}
}

// proves T9
func TestKeysOfWycheproof(t *testing.T) {
	t.Parallel()
	const roca = 7 // a key of a weak generator; nothing else tells it from others
	vectors := wycheproof(t, "json_web_key_test.json")
	assert.Len(t, vectors, 26)
	for _, v := range vectors {
		assert.Equal(t, v.valid || v.id == roca, v.verifies(t), "%d: %s", v.id, v.comment)
	}
}

// proves T9
func TestTokensOfWycheproof(t *testing.T) {
	t.Parallel()
	const roca = 46
	vectors := wycheproof(t, "json_web_crypto_test.json")
	assert.Len(t, vectors, 49)
	for _, v := range vectors {
		assert.Equal(t, v.valid || v.id == roca, v.verifies(t), "%d: %s", v.id, v.comment)
	}
}
