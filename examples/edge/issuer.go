package main

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/jwt/jwttest"
	"github.com/sluice-go/sluice/endpoint/jwt/sign"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

// An issuer makes tokens for everybody who asks: it is there to try the program with.
type issuer struct {
	*jwttest.Issuer
	name    string     // the claim iss
	signing *sign.Keys // the key that signs tokens, for receipts
}

const audience = "orders"

func newIssuer(name string) (*issuer, error) {
	i, err := jwttest.NewIssuer("ES256")
	if err != nil {
		return nil, err
	}
	return &issuer{i, name, sign.NewKeys(signingKey(i))}, nil
}

func signingKey(i *jwttest.Issuer) sign.Key {
	return sign.Key{ID: i.KeyID(), Algorithm: "ES256", Private: i.Signer()}
}

func (i *issuer) handler() http.Handler {
	r := chi.NewRouter()
	router.Problems(r)
	r.Get("/jwks.json", i.ServeHTTP)
	r.Post("/token", i.token)
	r.Post("/rotate", func(w http.ResponseWriter, r *http.Request) {
		err := i.Rotate()
		if err == nil {
			err = i.signing.Set(signingKey(i.Issuer))
		}
		if err != nil {
			endpoint.WriteError(w, r, &proxy.Error{Status: http.StatusInternalServerError, Err: err})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return r
}

// token answers with a token. The claims in the request are put over those of every token.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	claims := map[string]any{"iss": i.name, "aud": audience, "exp": time.Now().Add(time.Hour).Unix(), "jti": newTokenID()}
	body := http.MaxBytesReader(w, r.Body, 64<<10)
	given := map[string]json.RawMessage{}
	if err := json.NewDecoder(body).Decode(&given); err != nil && err != io.EOF {
		endpoint.WriteError(w, r, &proxy.Error{Status: http.StatusBadRequest, Err: err})
		return
	}
	for name, value := range given {
		claims[name] = value
	}
	token, err := i.Sign(claims)
	if err != nil {
		endpoint.WriteError(w, r, &proxy.Error{Status: http.StatusInternalServerError, Err: err})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, token)
}
