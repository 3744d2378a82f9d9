package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy/document"
)

// ErrContentType is why [Auto] refuses an answer: it has no decoder for the content type.
var ErrContentType = errors.New("no decoder for the content type")

// Auto returns a decoder that chooses by the media type in the Content-Type of the answer:
//
//	application/json, text/json, and types that end in +json  JSON
//	application/xml, text/xml, and types that end in +xml     XML
//	text/plain                                                Text
//
// The map more adds decoders or replaces these. Its keys are media types, suffixes such as "+yaml",
// and "" for answers without a Content-Type. A media type takes precedence over its suffix. Auto
// guesses nothing: a content type that no key fits, or that is malformed, is an error that wraps
// [ErrContentType].
//
//	backend.Auto(map[string]backend.Decoder{"application/msgpack": msgpack.Decoder{}})
//
// Auto does not keep the map. It is a fault if a key is neither a media type nor a suffix, or if a
// decoder is nil, is [Passthrough] or has a Fault of its own. The Fault method of the decoder that
// Auto returns joins all of these, and New refuses a Spec with such a decoder.
func Auto(more map[string]Decoder) Decoder {
	a := &auto{byType: map[string]Decoder{
		"application/json": JSON, "text/json": JSON, "+json": JSON,
		"application/xml": XML, "text/xml": XML, "+xml": XML,
		"text/plain": Text,
	}}
	var names []string
	var errs []error
	for _, key := range sortedKeys(more) {
		d := more[key]
		if !isTypeOrSuffix(key) {
			errs = append(errs, fmt.Errorf(`backend: Auto: %q is neither a media type nor a suffix such as "+yaml"`, key))
		}
		if d == nil || d == Passthrough {
			errs = append(errs, fmt.Errorf("backend: Auto: %q has no decoder", key))
			continue
		}
		for _, err := range faultsOf(d) {
			errs = append(errs, fmt.Errorf("backend: Auto: %q: %w", key, err))
		}
		a.byType[strings.ToLower(key)] = d
		if name := d.String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	a.fault = errors.Join(errs...)
	a.name = strings.Join(append([]string{"auto"}, names...), " or ")
	return a
}

func isTypeOrSuffix(s string) bool {
	if suffix, found := strings.CutPrefix(s, "+"); found {
		return field.IsToken(suffix)
	}
	main, sub, _ := strings.Cut(s, "/")
	return s == "" || field.IsToken(main) && field.IsToken(sub)
}

type auto struct {
	byType map[string]Decoder
	name   string
	fault  error
}

func (a *auto) Fault() error { return a.fault }

func (a *auto) String() string { return a.name }

func (a *auto) Decode(contentType string, body []byte) (document.Document, error) {
	return a.DecodeContext(context.Background(), contentType, body)
}

func (a *auto) DecodeContext(ctx context.Context, contentType string, body []byte) (document.Document, error) {
	if a.fault != nil {
		return document.Document{}, a.fault
	}
	media := ""
	if contentType != "" {
		var err error
		if media, _, err = mime.ParseMediaType(contentType); err != nil {
			return document.Document{}, fmt.Errorf("%w: it is malformed", ErrContentType)
		}
	}
	d := a.byType[media]
	if i := strings.LastIndexByte(media, '+'); d == nil && i >= 0 {
		d = a.byType[media[i:]]
	}
	switch {
	case d != nil:
		return decode(ctx, d, contentType, body)
	case media == "":
		return document.Document{}, fmt.Errorf("%w: the answer has none", ErrContentType)
	}
	return document.Document{}, fmt.Errorf("%w %s", ErrContentType, printable(media))
}

// areOurs reports whether all decoders are ours, so that none runs code of a user.
func (a *auto) areOurs() bool {
	for d := range maps.Values(a.byType) {
		if !isOurs(d) {
			return false
		}
	}
	return true
}
