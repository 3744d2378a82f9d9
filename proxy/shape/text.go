package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/sluice-go/sluice/proxy/document"
)

// ErrNotString says that a value is not a string where one is needed. It comes in a
// [*document.Error] with the path.
var ErrNotString = errors.New("not a string")

// Upper returns an op that converts the strings at the paths to upper case, as [strings.ToUpper]
// does. A path that leads nowhere changes nothing, and null stays null. A value of any other kind
// is a [*document.Error] that wraps [ErrNotString].
func Upper(paths ...string) Op { return onStrings("upper", nil, strings.ToUpper, paths...) }

// Lower is [Upper] for lower case, as [strings.ToLower] does.
func Lower(paths ...string) Op { return onStrings("lower", nil, strings.ToLower, paths...) }

// Trim is like [Upper], but removes white space, as defined by Unicode, from both ends.
func Trim(paths ...string) Op { return onStrings("trim", nil, strings.TrimSpace, paths...) }

// Replace is like [Upper], but for one path. It replaces old with the text by, everywhere in the
// string. Both texts are literal: no character has a special meaning. It is a fault in the plan if
// old is empty, or if a text is not UTF-8. If the texts grow by more than 8 MiB in all, the error
// is a [*document.Error] that wraps [document.ErrSize]; see [Limits].
func Replace(path, old, by string) Op { return replace(Limits{}, path, old, by) }

func replace(l Limits, path, old, by string) Op {
	var err error
	switch {
	case old == "":
		err = errors.New("the text to replace is empty")
	case !utf8.ValidString(old) || !utf8.ValidString(by):
		err = document.ErrEncoding
	}
	return stringsOp("replace", err, func() func(s string) (string, error) {
		added := 0
		return func(s string) (string, error) {
			if added += strings.Count(s, old) * (len(by) - len(old)); added > l.bytes() {
				return "", document.ErrSize
			}
			return strings.ReplaceAll(s, old, by), nil
		}
	}, path)
}

// onStrings returns an op that changes the strings at the paths with f, one path after another.
func onStrings(kind string, err error, f func(string) string, paths ...string) Op {
	return stringsOp(kind, err, func() func(string) (string, error) {
		return func(s string) (string, error) { return f(s), nil }
	}, paths...)
}

// stringsOp is onStrings for a function that is made anew for each document.
func stringsOp(kind string, err error, begin func() func(string) (string, error), paths ...string) Op {
	list := make([]document.Path, len(paths))
	errs := []error{err}
	for i, path := range paths {
		list[i], err = document.ParsePath(path)
		errs = append(errs, err)
	}
	return pure(kind, strings.Join(paths, ", "), errs, func(w document.Work, d document.Document) (document.Document, error) {
		f := begin()
		for _, p := range list {
			var err error
			d, err = w.Map(d, p, func(v document.Document) (document.Document, error) {
				switch v.Kind() {
				case document.String:
				case document.Null:
					return v, nil
				default:
					return document.Document{}, &document.Error{Path: p.String(), Err: ErrNotString}
				}
				text, _ := v.Text()
				changed, err := f(text)
				switch {
				case err != nil:
					return document.Document{}, &document.Error{Path: p.String(), Err: err}
				case changed != text:
					return document.Parse(appendString(nil, changed))
				}
				return v, nil
			})
			if err != nil {
				return document.Document{}, err
			}
		}
		return d, nil
	})
}

// appendString appends a text as a JSON string, without the escapes that only HTML needs.
func appendString(dst []byte, text string) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string can be encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
