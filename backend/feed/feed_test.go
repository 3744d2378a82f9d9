package feed_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/feed"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFeedsAreMappedAsDocumented(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"RSS 2.0", `<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"
     xmlns:atom="http://www.w3.org/2005/Atom" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd">
 <channel>
  <title>News &amp; more</title><link>http://news.example/</link><description>All of it</description>
  <language>en</language><managingEditor>ed@news.example (Ed)</managingEditor>
  <atom:link rel="self" href="http://news.example/rss"/>
  <image><title>no title</title><url>http://news.example/i.png</url></image>
  <item>
   <title>One</title><link>http://news.example/1</link><guid isPermaLink="false">n-1</guid>
   <description>short</description><content:encoded><![CDATA[<p>long</p>]]></content:encoded>
   <pubDate>Mon, 30 Nov 2026 12:00:00 EST</pubDate><dc:creator>Ada</dc:creator><itunes:author>nobody</itunes:author>
   <category>a</category><category>b</category><dc:subject>c</dc:subject>
   <enclosure url="http://news.example/1.mp3" type="audio/mpeg" length="1234"/>
  </item>
  <item><guid>http://news.example/2</guid><description>&lt;b&gt;only&lt;/b&gt;</description><itunes:title>none</itunes:title></item>
 </channel>
</rss>`, `{"version":"https://jsonfeed.org/version/1.1","title":"News & more","home_page_url":"http://news.example/",
"feed_url":"http://news.example/rss","description":"All of it","authors":[{"name":"ed@news.example (Ed)"}],"language":"en","items":[
{"id":"n-1","url":"http://news.example/1","title":"One","content_html":"<p>long</p>","summary":"short",
"date_published":"2026-11-30T12:00:00-05:00","authors":[{"name":"Ada"}],"tags":["a","b","c"],
"attachments":[{"url":"http://news.example/1.mp3","mime_type":"audio/mpeg","size_in_bytes":1234}]},
{"id":"http://news.example/2","url":"http://news.example/2","content_html":"<b>only</b>"}]}`},
		{"RSS 1.0", `<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">
 <channel rdf:about="x"><title>T</title><dc:language>de</dc:language><items><rdf:Seq><rdf:li resource="1"/></rdf:Seq></items></channel>
 <item rdf:about="1"><title>One</title><link>http://a/1</link><dc:date>2026-11-30</dc:date></item>
</rdf:RDF>`, `{"version":"https://jsonfeed.org/version/1.1","title":"T","language":"de","items":[
{"id":"http://a/1","url":"http://a/1","title":"One","date_published":"2026-11-30T00:00:00Z"}]}`},
		{"Atom", `<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">
 <title type="text">T</title><subtitle>S</subtitle><link href="http://a/"/><link rel="self" href="http://a/atom"/><id>urn:a</id>
 <updated>2026-11-30T12:00:00Z</updated><author><name>Ada</name><uri>http://ada</uri></author>
 <entry><id>urn:1</id><title type="html">A &lt;b&gt;</title><link rel="alternate" href="http://a/1"/><link rel="edit" href="http://a/e"/>
  <link rel="enclosure" type="a/b" length="0" href="http://a/f"/><summary>s</summary><category term="t" label="L"/>
  <published>2026-11-30T12:00:00.5+01:00</published><updated>never</updated>
  <content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">a <em>b</em><br/></div></content></entry>
 <entry><title type="xhtml"><div>x <i>y</i></div></title><content>a &lt; b</content></entry>
 <entry><content type="html">&lt;p/&gt;</content><author><uri>http://bob</uri></author></entry>
 <entry><content type="image/png" src="x"/></entry>
</feed>`, `{"version":"https://jsonfeed.org/version/1.1","title":"T","home_page_url":"http://a/","feed_url":"http://a/atom","description":"S",
"authors":[{"name":"Ada","url":"http://ada"}],"language":"en","items":[
{"id":"urn:1","url":"http://a/1","title":"A <b>","content_html":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a <em>b</em><br/></div>",
"summary":"s","date_published":"2026-11-30T12:00:00.5+01:00","tags":["t"],"attachments":[{"url":"http://a/f","mime_type":"a/b"}]},
{"id":"x y","title":"x y","content_text":"a < b"},
{"id":"","content_html":"<p/>","authors":[{"url":"http://bob"}]},
{"id":""}]}`},
		{"an empty feed", `<rss><channel/></rss>`, `{"version":"https://jsonfeed.org/version/1.1","items":[]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := feed.Decoder{}.Decode("application/rss+xml", []byte(tt.body))
			require.NoError(t, err)
			assert.Equal(t, strings.ReplaceAll(tt.want, "\n", ""), d.String())
		})
	}
}

func TestDatesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for date, want := range map[string]string{
		"Mon, 30 Nov 2026 12:00:00 GMT":   "2026-11-30T12:00:00Z",
		"Monday, 1 Dec 26 12:00 PDT":      "2026-12-01T12:00:00-07:00",
		"30 Nov 2026 12:00:00 +0200":      "2026-11-30T12:00:00+02:00",
		"2026-11-30T12:00:00Z":            "2026-11-30T12:00:00Z",
		"2026-11-30T12:00+01:00":          "2026-11-30T12:00:00+01:00",
		"Mon, 30 Nov 2026":                "2026-11-30T00:00:00Z",
		"Mon, 30 Nov 2026 12:00:00 CET":   "", // not a zone of RFC 822
		"Mon, 31 Nov 2026 12:00:00 +0000": "",
		"yesterday":                       "",
		"":                                "",
	} {
		d, err := feed.Decoder{}.Decode("", []byte("<rss><channel><item><pubDate>"+date+"</pubDate></item></channel></rss>"))
		require.NoError(t, err)
		got, _ := d.Get(document.MustPath("items.0.date_published")).Text()
		assert.Equal(t, want, got, date)
	}
}

// proves M8
func TestErrorsDoNotQuoteTheBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, contentType, body, want string }{
		{"nothing", "", "", "feed: line 1: neither RSS nor Atom"},
		{"another format", "", "<secret/>", "feed: line 1: neither RSS nor Atom"},
		{"HTML", "", "<html><body></body></html>", "feed: line 1: neither RSS nor Atom"},
		{"JSON", "", `{"secret":1}`, "feed: line 1: not well-formed"},
		{"Atom without its namespace", "", "<feed/>", "feed: line 1: neither RSS nor Atom"},
		{"no end", "", "<rss><channel>\n<secret>", "feed: line 2: not well-formed"},
		{"another end", "", "<rss><channel></secret></rss>", "feed: line 1: not well-formed"},
		{"two roots", "", "<rss></rss><rss></rss>", "feed: line 1: not well-formed"},
		{"text behind", "", "<rss></rss>secret", "feed: line 1: not well-formed"},
		{"an entity", "", "<rss>&secret;</rss>", "feed: line 1: not well-formed"},
		{"a document type", "", "<!DOCTYPE rss [<!ENTITY a 'secret'>]><rss/>", "feed: line 1: a document type declaration is not accepted"},
		{"a charset", "", `<?xml version="1.0" encoding="ISO-8859-1"?><rss/>`, "feed: line 1: a charset other than UTF-8 and US-ASCII is not accepted"},
		{"a charset of the answer", "text/xml;charset=iso-8859-1", "<rss/>", "feed: a charset other than UTF-8 and US-ASCII is not accepted"},
		{"depth", "", "<rss><channel><item>" + strings.Repeat("<a>", 600), "feed: line 1: nested too deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := feed.Decoder{}.Decode(tt.contentType, []byte(tt.body))
			assert.EqualError(t, err, tt.want)
			assert.True(t, d.IsZero())
		})
	}
}

// proves F6
func TestFeedsDoNotGrow(t *testing.T) { // alone: it measures
	const size = 1 << 17
	for name, body := range map[string]string{
		"empty items": "<rss><channel>" + strings.Repeat("<item/>", size/7) + "</channel></rss>",
		"dates":       "<rss><channel>" + strings.Repeat("<item><pubDate>x</pubDate></item>", size/33) + "</channel></rss>",
		"long dates":  "<rss><channel><item><pubDate>" + strings.Repeat("x", size) + "</pubDate></item></channel></rss>",
		"tags":        "<rss><channel><item>" + strings.Repeat("<category>a</category>", size/22) + "</item></channel></rss>",
		"others":      "<rss><channel><item>" + strings.Repeat("<a/>", size/4) + "</item></channel></rss>",
		"titles":      "<rss><channel><item><title>" + strings.Repeat(`"`, size) + "</title></item></channel></rss>",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, err := feed.Decoder{}.Decode("", []byte(body))
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		factor := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(body))
		t.Logf("%s: %.1f bytes allocated for each", name, factor)
		assert.Less(t, factor, 80.0, name)
		assert.Less(t, d.Size(), 5*len(body))
	}
}

func TestAnUpstreamsAnswerIsDecoded(t *testing.T) {
	t.Parallel()
	transport := roundTrip(func(*http.Request) *http.Response {
		return answer("application/rss+xml", "<rss><channel><title>T</title></channel></rss>")
	})
	p := pipe.Check(backend.HTTP{Transport: transport}.New(backend.Spec{Name: "up", URL: "http://up",
		Decode: backend.Auto(map[string]backend.Decoder{"application/rss+xml": feed.Decoder{}})}))
	res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, `{"version":"https://jsonfeed.org/version/1.1","title":"T","items":[]}`, res.Document.String())
	assert.Contains(t, pipe.PlanOf(p).String(), "auto or feed")
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`<rss><channel><title>T</title><item><guid>http://a</guid><pubDate>Mon, 30 Nov 2026 12:00:00 EST</pubDate></item></channel></rss>`,
		`<feed xmlns="http://www.w3.org/2005/Atom"><entry><content type="xhtml"><b/></content><link rel="enclosure" href="a" length="1"/></entry></feed>`,
		`<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><item><category>a</category></item></r:RDF>`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := feed.Decoder{}.Decode("", body)
		if err != nil {
			assert.True(t, d.IsZero())
			assert.False(t, errors.As(err, new(*document.Error)), "it is not what the reader writes that is wrong")
			return
		}
		assert.True(t, json.Valid([]byte(d.String())))
		assert.Equal(t, document.Array, d.Get(document.MustPath("items")).Kind())
		assert.LessOrEqual(t, d.Size(), 6*len(body)+200)
	})
}

// proves T10
func TestDecodingAllocatesInProportionToTheFeed(t *testing.T) { // alone: it measures
	const size = 1 << 20
	for name, part := range map[string]string{
		"empty items":        "<item></item>",
		"unknown elements":   "<a/>",
		"namespaces":         "<a xmlns:b=''/>",
		"namespaces of one":  "<a xmlns='a' b=''/>",
		"attributes":         "<a b='' c='' d='' e='' f=''/>",
		"spaced attributes":  "<a b = ''/>",
		"categories":         "<category>a</category>",
		"authors":            "<author>a</author>",
		"enclosures":         "<item><enclosure url='a' length='1'/></item>",
		"dates":              "<item><pubDate>Mon, 2 Jan 2006 15:04:05 GMT</pubDate></item>",
		"dates that are not": "<item><pubDate>2 Jan 2006 15:99:05 GMT</pubDate></item>",
		"short dates":        "<item><pubDate>2</pubDate></item>",
	} {
		tags := strings.Count(part, "<") + strings.Count(part, "='") + strings.Count(part, "= '")
		part += strings.Repeat("a", max(0, 18*tags+1-len(part))) // no shorter one is read
		body := []byte("<rss><channel>" + strings.Repeat(part, size/len(part)) + "</channel></rss>")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := feed.Decoder{}.Decode("", body)
		runtime.ReadMemStats(&after)
		if factor := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(body)); assert.NoError(t, err, name) {
			t.Logf("%s: %.1f", name, factor)
			assert.Less(t, factor, 16.0, name)
		}
	}
}

// proves T10
func TestAFeedOfLittleButTagsIsRefusedBeforeItIsParsed(t *testing.T) { // alone: it measures
	for name, part := range map[string]string{"tags": "<a/>", "attributes": "<a b='' c=\"\" d= ''/>"} {
		body := []byte("<rss><channel>" + strings.Repeat(part, 1<<20/len(part)) + "</channel></rss>")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := feed.Decoder{}.Decode("", body)
		runtime.ReadMemStats(&after)
		assert.ErrorIs(t, err, feed.ErrTags, name)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<16), name)
		_, err = feed.Decoder{Tags: -1}.Decode("", body)
		assert.NoError(t, err, name)
	}
	few := []byte("<rss><a/></rss>")
	_, err := feed.Decoder{Tags: 3}.Decode("", few)
	assert.NoError(t, err)
	_, err = feed.Decoder{Tags: 2}.Decode("", few)
	assert.ErrorIs(t, err, feed.ErrTags)
}

// proves T10
func TestDecodingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := feed.Decoder{}.DecodeContext(ctx, "", []byte("<rss><channel>"+strings.Repeat("<item>a</item>", 1000)+"</channel></rss>"))
	assert.ErrorIs(t, err, context.Canceled)
}

// A deadline is a context that is over once it has been asked for its error a number of times.
type deadline struct {
	context.Context
	left int
}

func (d *deadline) Err() error {
	if d.left--; d.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// proves T10
func TestALongTextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	body := []byte("<rss><channel><title>" + strings.Repeat("a", 1<<20) + "</title></channel></rss>")
	ctx := &deadline{t.Context(), 10}
	_, err := feed.Decoder{}.DecodeContext(ctx, "", body)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.GreaterOrEqual(t, ctx.left, -4, "it goes on after its context")
}
