package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/keys"
	"github.com/sluice-go/sluice/proxy"
)

// maxKey is how long a key is at most.
const maxKey = 255

// keyIn returns the key of a request: exactly one String, as Items are in RFC 9651, section 3.3.3.
func keyIn(h http.Header) (string, error) {
	lines := h[headerName]
	if len(lines) == 0 {
		return "", refusal(http.StatusBadRequest, ErrKey, "The request needs an Idempotency-Key.")
	}
	key, err := parseKey(lines)
	if err != nil {
		return "", refusal(http.StatusBadRequest, fmt.Errorf("%w: %w", ErrKey, err),
			"The Idempotency-Key must be one string in double quotes, of 1 to 255 printable ASCII characters.")
	}
	return key, nil
}

var (
	errLines  = errors.New("there are several")
	errString = errors.New("it is no String")
	errParams = errors.New("it has parameters")
	errLength = errors.New("it is empty or too long")
)

func parseKey(lines []string) (string, error) {
	if len(lines) > 1 {
		return "", errLines
	}
	if len(lines[0]) > 4*maxKey { // each byte may have a backslash before it, and there may be blanks around
		return "", errLength
	}
	item, err := httpsfv.UnmarshalItem(lines)
	if err != nil {
		return "", err
	}
	key, ok := item.Value.(string)
	switch {
	case !ok:
		return "", errString
	case item.Params != nil && len(item.Params.Names()) > 0:
		return "", errParams
	case key == "" || len(key) > maxKey:
		return "", errLength
	}
	return key, nil
}

// scope returns what a key stands under in the Answers: a hash of it and of whom it belongs to.
func scope(req *proxy.Request, key string) string {
	var parts keys.Parts
	parts.Text(hostname(req.Host), req.Method, req.Pattern, req.Caller.Key(), key)
	sum := sha256.Sum256(parts)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// hostname returns a host without its port: processes of one service may listen on different ones.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(host)
}

// A fingerprint is a hash of what makes two requests the same.
type fingerprint [sha256.Size]byte

func (r *require) fingerprint(ctx context.Context, req *proxy.Request) (print fingerprint, err error) {
	var parts keys.Parts
	parts.Text(req.Method, req.Path)
	parts.Values(req.Query)
	parts.List(req.Header["Content-Type"])
	parts.List(req.Header["Content-Encoding"])
	if req.Caller == nil { // else the Caller is in the scope
		parts.List(req.Header["Authorization"])
		if cookies := req.Header["Cookie"]; r.cookies && len(cookies) > 0 {
			parts.Text("cookie")
			parts.List(cookies)
		}
		if req.TLS != nil && len(req.TLS.PeerCertificates) > 0 {
			parts.Text("certificate", string(req.TLS.PeerCertificates[0].Raw))
		}
	}
	h := sha256.New()
	h.Write(parts)
	if err := r.addBody(ctx, h, req); err != nil {
		return print, err
	}
	h.Sum(print[:0])
	return print, nil
}

// addBody adds the body of a request to its hash.
func (r *require) addBody(ctx context.Context, h hash.Hash, req *proxy.Request) error {
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	if req.GetBody == nil {
		return &proxy.Error{Status: http.StatusInternalServerError, Op: op, Err: proxy.ErrBodyNotReplayable}
	}
	body, err := call.Open(ctx, r.bound, req.GetBody)
	if err == nil && body == nil {
		err = errNoBody
	}
	if err != nil {
		return &proxy.Error{Op: op, Err: call.Sound(err)}
	}
	defer call.Discard(ctx, body)
	if _, err := io.Copy(h, call.NewBody(ctx, r.bound, body)); err != nil {
		return &proxy.Error{Op: op, Err: call.Sound(err)}
	}
	return nil
}

var errNoBody = errors.New("GetBody returned no body")
