// Package feed decodes RSS and Atom into one form, that of JSON Feed 1.1
// (https://jsonfeed.org/version/1.1).
//
//	p, err := backend.New(backend.Spec{
//		Name: "news", URL: "http://news:8080/feed", Decode: feed.Decoder{},
//	})
//
// For upstreams that also speak another format, use backend.Auto:
//
//	Decode: backend.Auto(map[string]backend.Decoder{
//		"application/rss+xml": feed.Decoder{}, "application/atom+xml": feed.Decoder{},
//	})
//
// # How a feed is mapped
//
//	of the feed      RSS 0.9x, 1.0, 2.0           Atom (RFC 4287)
//	title            title                        title
//	home_page_url    link                         link, alternate
//	feed_url         atom:link, self              link, self
//	description      description                  subtitle
//	language         language, dc:language        xml:lang
//	authors          managingEditor, dc:creator   author
//	items            item                         entry
//
//	of an item       RSS                          Atom
//	id               guid, else link, else title  id, else link, else title
//	url              link, else a guid that is    link, alternate
//	title            title                        title
//	content_html     content:encoded, else        content of type html or xhtml
//	                 description
//	content_text     -                            content of type text
//	summary          description beside           summary
//	                 content:encoded
//	date_published   pubDate, dc:date             published
//	date_modified    -                            updated
//	authors          author, dc:creator           author
//	tags             category, dc:subject         category
//	attachments      enclosure                    link, enclosure
//
// The members are always in the order of JSON Feed, and the items in that of the source. Empty
// members are left out, except version, items, and the id of an item. Times have the form of RFC
// 3339; a time that cannot be read is left out. HTML is passed on as it came, scripts included:
// whatever shows it must sanitize it. Everything else in a feed, such as podcast extensions, is
// left out.
//
// The XML is read as strictly as backend.XML reads it, but only in UTF-8 or US-ASCII: without a
// document type declaration, with no entities but the five of XML, and at most 512 levels deep. A
// document that is not a feed is an error. So is one with more than 50,000 tags and attributes of
// less than 18 bytes on average, texts included; see Decoder.
package feed

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Decoder is a backend.Decoder. It is safe for concurrent use.
type Decoder struct {
	// Tags bounds the number of tags and attributes in a body that consists of little else, before
	// the body is parsed: each takes about 250 bytes. A body with more of them than this, and with
	// less than 18 bytes for each, is refused with ErrTags. So decoding allocates at most 16 times
	// the body, or 250 bytes for each of that many. 0 means 50,000, negative no limit.
	Tags int
}

// ErrTags is why a body is refused that has too many tags and attributes; see Decoder.
var ErrTags = errors.New("too many tags for its size")

// String returns "feed".
func (Decoder) String() string { return "feed" }

// Mark says that the decoder is part of sluice, so that a call needs no goroutine to guard against
// it.
func (Decoder) Mark() mark.Type { return mark.TypeOf[Decoder]() }

var (
	errXML     = errors.New("not well-formed")
	errDoctype = errors.New("a document type declaration is not accepted")
	errCharset = errors.New("a charset other than UTF-8 and US-ASCII is not accepted")
	errFeed    = errors.New("neither RSS nor Atom")
)

// Decode returns the feed that body contains.
func (d Decoder) Decode(contentType string, body []byte) (document.Document, error) {
	return d.DecodeContext(context.Background(), contentType, body)
}

// DecodeContext is Decode with a context; see backend.ContextDecoder.
func (d Decoder) DecodeContext(ctx context.Context, contentType string, body []byte) (document.Document, error) {
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		if charset, there := params["charset"]; there && !isCharset(charset) {
			return document.Document{}, fmt.Errorf("feed: %w", errCharset)
		}
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if tags := countTags(body); d.Tags >= 0 && tags > cmp.Or(d.Tags, defaultTags) && tags > len(body)/minTag {
		return document.Document{}, fmt.Errorf("feed: %w", ErrTags)
	}
	r := newReader(ctx, body)
	if err := r.root(); err != nil {
		if ctx.Err() != nil {
			return document.Document{}, fmt.Errorf("feed: %w", err)
		}
		line, _ := r.tokens.InputPos()
		return document.Document{}, fmt.Errorf("feed: line %d: %w", line, err)
	}
	return document.Work{Context: ctx}.Parse(r.write())
}

func isCharset(name string) bool {
	return strings.EqualFold(name, "utf-8") || strings.EqualFold(name, "us-ascii")
}

const (
	defaultTags = 50_000
	minTag      = 18 // bytes
)

// countTags counts tags and attributes, also where they are a part of a text.
func countTags(body []byte) (n int) {
	for i, c := range body {
		if c == '<' || c == '=' && i+1 < len(body) && (body[i+1] == '"' || body[i+1] == '\'' || body[i+1] <= ' ') {
			n++
		}
	}
	return n
}

// The namespaces of the elements that are read. Elements of RSS have none, or one of those in
// kindOf.
const (
	nsAtom    = "http://www.w3.org/2005/Atom"
	nsContent = "http://purl.org/rss/1.0/modules/content/"
	nsDC      = "http://purl.org/dc/elements/1.1/"
	nsRDF     = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
	nsXML     = "http://www.w3.org/XML/1998/namespace"
)

// kindOf returns the name of an element with the prefix that the package documentation uses, or ""
// if its namespace is unknown.
func kindOf(name xml.Name) string {
	switch name.Space {
	case "", "http://purl.org/rss/1.0/", "http://my.netscape.com/rdf/simple/0.9/", "http://backend.userland.com/rss2":
		return name.Local
	case nsAtom:
		return "atom:" + name.Local
	case nsContent:
		return "content:" + name.Local
	case nsDC:
		return "dc:" + name.Local
	case nsRDF:
		return "rdf:" + name.Local
	}
	return ""
}

func attr(start xml.StartElement, space, local string) string {
	for _, a := range start.Attr {
		if a.Name.Local == local && a.Name.Space == space {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// A reader writes the items as they come, and the members of the feed itself at the end.
type reader struct {
	body   []byte
	tokens *xml.Decoder
	other  bool // the XML declares another charset
	ctx    context.Context
	steps  int
	before int64 // where the last token began

	feed  entry
	one   entry // the item being read; reused, because a body may hold very many
	inOne func(xml.StartElement) error
	items []byte
	depth int
}

func newReader(ctx context.Context, body []byte) *reader {
	r := &reader{ctx: ctx, body: body, tokens: xml.NewDecoder(&clocked{ctx, bytes.NewReader(body)})}
	r.inOne = func(t xml.StartElement) error { return r.member(&r.one, t) }
	r.tokens.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		r.other = !isCharset(charset)
		return in, nil
	}
	return r
}

// A clocked reader fails once its context is done. The library reads 4 KiB at a time, as it parses,
// so that also a single long token ends with the context.
type clocked struct {
	ctx  context.Context
	body *bytes.Reader
}

func (c *clocked) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.body.Read(p)
}

// next returns the next token, or io.EOF at the end of the document. It replaces errors of package
// xml, whose text quotes the body.
func (r *reader) next() (xml.Token, error) {
	if r.steps++; r.steps%1024 == 0 && r.ctx.Err() != nil {
		return nil, r.ctx.Err()
	}
	r.before = r.tokens.InputOffset()
	token, err := r.tokens.Token()
	switch {
	case err == io.EOF:
		return nil, err
	case err != nil && r.ctx.Err() != nil:
		return nil, r.ctx.Err()
	case err != nil:
		return nil, errXML
	case r.other:
		return nil, errCharset
	}
	switch token.(type) {
	case xml.StartElement:
		if r.depth++; r.depth > document.DefaultDepth {
			return nil, document.ErrDepth
		}
	case xml.EndElement:
		r.depth--
	case xml.Directive:
		return nil, errDoctype
	}
	return token, nil
}

func (r *reader) root() error {
	found := false
	for {
		token, err := r.next()
		switch {
		case err == io.EOF && found:
			return nil
		case err == io.EOF:
			return errFeed
		case err != nil:
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if found {
				return errXML
			}
			found = true
			if err := r.format(t); err != nil {
				return err
			}
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return errXML
			}
		}
	}
}

// format reads the root element.
func (r *reader) format(start xml.StartElement) error {
	switch kindOf(start.Name) {
	case "atom:feed":
		r.feed.language = attr(start, nsXML, "lang")
		return r.children(func(t xml.StartElement) error { return r.member(&r.feed, t) })
	case "rss", "rdf:RDF":
		return r.children(func(t xml.StartElement) error {
			switch kindOf(t.Name) {
			case "channel":
				return r.children(func(t xml.StartElement) error { return r.member(&r.feed, t) })
			case "item":
				return r.item()
			}
			return r.skip()
		})
	}
	return errFeed
}

// children calls f for each child of the element that was just opened, up to its end tag. f must
// read its element to the end.
func (r *reader) children(f func(xml.StartElement) error) error {
	for {
		token, err := r.next()
		if err != nil {
			return early(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if err := f(t); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// early returns the error for a body that ends inside an element.
func early(err error) error {
	if err == io.EOF {
		return errXML
	}
	return err
}

func (r *reader) skip() error {
	_, _, err := r.inside()
	return err
}

// text returns all text inside the element that was just opened, without the white space around it.
func (r *reader) text() (string, error) {
	text, _, err := r.inside()
	return text, err
}

// inside reads the element that was just opened to its end and returns its text and its bytes.
func (r *reader) inside() (text string, raw []byte, err error) {
	var b strings.Builder
	from := r.tokens.InputOffset()
	for outside := r.depth - 1; ; {
		token, err := r.next()
		if err != nil {
			return "", nil, early(err)
		}
		switch t := token.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.EndElement:
			if r.depth == outside {
				return strings.TrimSpace(b.String()), bytes.TrimSpace(r.body[from:r.before]), nil
			}
		}
	}
}

// An entry is an item, or the feed itself.
type entry struct {
	id, url, self, title, language string
	description, summary           string
	html, text                     string
	published, modified            string
	authors                        []author
	tags                           []string
	attachments                    []attachment
	permalink                      bool
}

type author struct{ name, url string }

type attachment struct{ url, mimeType, size string }

// item reads an item and appends it.
func (r *reader) item() error {
	e := &r.one
	*e = entry{authors: e.authors[:0], tags: e.tags[:0], attachments: e.attachments[:0]}
	if err := r.children(r.inOne); err != nil {
		return err
	}
	if len(r.items) > 0 {
		r.items = append(r.items, ',')
	}
	r.items = e.appendItem(r.items)
	return nil
}

// member reads an element of an item or of the feed. If several elements give the same member, the
// first counts, but an element of RSS itself takes precedence over those of other namespaces.
func (r *reader) member(e *entry, t xml.StartElement) error {
	kind := kindOf(t.Name)
	switch kind {
	case "item", "atom:entry":
		if e == &r.feed {
			return r.item()
		}
		return r.skip()
	case "author", "managingEditor", "dc:creator":
		text, err := r.text()
		if text != "" {
			e.authors = append(e.authors, author{name: text})
		}
		return err
	case "atom:author":
		return r.author(e)
	case "category", "dc:subject":
		text, err := r.text()
		e.tag(text)
		return err
	case "atom:category":
		e.tag(attr(t, "", "term"))
		return r.skip()
	case "enclosure":
		e.attach(attr(t, "", "url"), t)
		return r.skip()
	case "atom:link":
		e.link(t)
		return r.skip()
	case "atom:content":
		return r.content(e, t)
	case "guid":
		e.permalink = attr(t, "", "isPermaLink") != "false"
	}
	to := e.field(kind)
	if to == nil {
		return r.skip()
	}
	text, err := r.text()
	if text != "" && (*to == "" || kind == "language" || kind == "pubDate") {
		*to = text
	}
	return err
}

// field returns where the text of an element goes, or nil if the element is left out.
func (e *entry) field(kind string) *string {
	switch kind {
	case "title", "atom:title":
		return &e.title
	case "link":
		return &e.url
	case "description", "atom:subtitle":
		return &e.description
	case "atom:summary":
		return &e.summary
	case "language", "dc:language":
		return &e.language
	case "guid", "atom:id":
		return &e.id
	case "content:encoded":
		return &e.html
	case "pubDate", "dc:date", "atom:published":
		return &e.published
	case "atom:updated":
		return &e.modified
	}
	return nil
}

func (r *reader) author(e *entry) error {
	var a author
	err := r.children(func(t xml.StartElement) error {
		text, err := r.text()
		switch kindOf(t.Name) {
		case "atom:name":
			a.name = text
		case "atom:uri":
			a.url = text
		}
		return err
	})
	if a != (author{}) {
		e.authors = append(e.authors, a)
	}
	return err
}

// content reads the content of Atom, which is text, HTML that is escaped as text, or XHTML
// elements.
func (r *reader) content(e *entry, t xml.StartElement) error {
	text, raw, err := r.inside()
	switch attr(t, "", "type") {
	case "html":
		e.html = text
	case "xhtml":
		e.html = string(raw)
	case "", "text":
		e.text = text
	}
	return err
}

func (e *entry) link(t xml.StartElement) {
	href := attr(t, "", "href")
	switch attr(t, "", "rel") {
	case "", "alternate":
		if e.url == "" {
			e.url = href
		}
	case "self":
		e.self = href
	case "enclosure":
		e.attach(href, t)
	}
}

func (e *entry) tag(text string) {
	if text != "" {
		e.tags = append(e.tags, text)
	}
}

func (e *entry) attach(url string, t xml.StartElement) {
	if url == "" {
		return
	}
	a := attachment{url: url, mimeType: attr(t, "", "type")}
	if n, err := strconv.ParseUint(attr(t, "", "length"), 10, 63); err == nil && n > 0 { // many feeds write 0 for an unknown length
		a.size = strconv.FormatUint(n, 10)
	}
	e.attachments = append(e.attachments, a)
}

// write returns the feed as JSON.
func (r *reader) write() []byte {
	e := &r.feed
	b := make([]byte, 0, len(r.items)+512)
	b = append(b, `{"version":"https://jsonfeed.org/version/1.1"`...)
	b = appendMember(b, "title", e.title)
	b = appendMember(b, "home_page_url", e.url)
	b = appendMember(b, "feed_url", e.self)
	b = appendMember(b, "description", e.description)
	b = appendAuthors(b, e.authors)
	b = appendMember(b, "language", e.language)
	b = append(append(b, `,"items":[`...), r.items...)
	return append(b, "]}"...)
}

func (e *entry) appendItem(b []byte) []byte {
	url, html, summary := e.url, e.html, e.summary
	if url == "" && e.permalink && (strings.HasPrefix(e.id, "http://") || strings.HasPrefix(e.id, "https://")) {
		url = e.id
	}
	switch {
	case html == "":
		html = e.description
	case summary == "":
		summary = e.description
	}
	id := e.id
	for _, other := range [...]string{e.url, e.title} {
		if id == "" {
			id = other
		}
	}
	b = document.AppendString(append(b, `{"id":`...), id)
	b = appendMember(b, "url", url)
	b = appendMember(b, "title", e.title)
	b = appendMember(b, "content_html", html)
	b = appendMember(b, "content_text", e.text)
	b = appendMember(b, "summary", summary)
	b = appendMember(b, "date_published", timeOf(e.published))
	b = appendMember(b, "date_modified", timeOf(e.modified))
	b = appendAuthors(b, e.authors)
	for i, tag := range e.tags {
		b = append(b, separator(i, `,"tags":[`)...)
		b = document.AppendString(b, tag)
	}
	b = closed(b, len(e.tags))
	b = appendMember(b, "language", e.language)
	for i, a := range e.attachments {
		b = append(b, separator(i, `,"attachments":[`)...)
		b = document.AppendString(append(b, `{"url":`...), a.url)
		b = appendMember(b, "mime_type", a.mimeType)
		if a.size != "" {
			b = append(append(b, `,"size_in_bytes":`...), a.size...)
		}
		b = append(b, '}')
	}
	b = closed(b, len(e.attachments))
	return append(b, '}')
}

func separator(i int, first string) string {
	if i == 0 {
		return first
	}
	return ","
}

func closed(b []byte, n int) []byte {
	if n > 0 {
		b = append(b, ']')
	}
	return b
}

func appendAuthors(b []byte, authors []author) []byte {
	for i, a := range authors {
		b = append(b, separator(i, `,"authors":[`)...)
		b = append(b, '{')
		if a.name != "" {
			b = document.AppendString(append(b, `"name":`...), a.name)
			b = appendMember(b, "url", a.url)
		} else {
			b = document.AppendString(append(b, `"url":`...), a.url)
		}
		b = append(b, '}')
	}
	return closed(b, len(authors))
}

func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return document.AppendString(b, value)
}

// timeOf returns a time of RSS (RFC 822, with common mistakes), Dublin Core or Atom in the form of
// RFC 3339, or "" if it cannot read the time. It knows the time zones of RFC 822 only.
func timeOf(s string) string {
	if s == "" || len(s) > 64 {
		return ""
	}
	if _, rest, found := strings.Cut(s, ","); found { // the day of the week adds nothing
		s = strings.TrimSpace(rest)
	}
	if i := strings.LastIndexByte(s, ' '); i >= 0 {
		if offset, there := zones[strings.ToUpper(s[i+1:])]; there {
			s = s[:i+1] + offset
		}
	}
	layout := layoutOf(s)
	if layout == "" {
		return ""
	}
	t, err := time.Parse(layout, s)
	if err != nil || t.Year() < 0 || t.Year() > 9999 {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// layoutOf returns the only layout that a time can have, or "". A layout that does not fit costs an
// error, so that trying all of them would cost much more than the text of the time.
func layoutOf(s string) string {
	if len(s) > 4 && s[4] == '-' {
		_, clock, _ := strings.Cut(s, "T")
		zone := strings.IndexAny(clock, "Z+-")
		if zone >= 0 {
			clock = clock[:zone]
		}
		switch colons := strings.Count(clock, ":"); {
		case clock == "" && zone < 0:
			return time.DateOnly
		case colons == 2 && zone >= 0:
			return time.RFC3339Nano
		case colons == 2:
			return "2006-01-02T15:04:05"
		case colons == 1 && zone >= 0:
			return "2006-01-02T15:04Z07:00"
		}
		return ""
	}
	var year, clock string
	n := 0
	for word := range strings.FieldsSeq(s) {
		switch n++; n {
		case 3:
			year = word
		case 4:
			clock = word
		}
	}
	colons := strings.Count(clock, ":")
	switch {
	case n == 3:
		return "2 Jan 2006"
	case n != 5:
		return ""
	case len(year) == 4 && colons == 2:
		return "2 Jan 2006 15:04:05 -0700"
	case len(year) == 4 && colons == 1:
		return "2 Jan 2006 15:04 -0700"
	case colons == 2:
		return "2 Jan 06 15:04:05 -0700"
	case colons == 1:
		return "2 Jan 06 15:04 -0700"
	}
	return ""
}

// zones are the time zones of RFC 822, section 5.1, except the military ones, which that RFC got
// the wrong way round. It is only read.
var zones = map[string]string{"UT": "+0000", "UTC": "+0000", "GMT": "+0000", "Z": "+0000", "EST": "-0500", "EDT": "-0400",
	"CST": "-0600", "CDT": "-0500", "MST": "-0700", "MDT": "-0600", "PST": "-0800", "PDT": "-0700"}
