//! What stands around the text of a web page and not in it: comment forms, shop buttons, cookie banners, tags that nobody sees. One
//! such phrase is in many an answer; several different ones close together are a page that the model goes on reciting. Where the text
//! is about pages, they were asked for.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::tokens::is_character;
use super::{Symptom, excerpt};
use crate::detect::prose::{Part, Prose};
use crate::text::{ceil_char_boundary, floor_char_boundary};

/// How far before the new text phrases are counted, in bytes.
pub(super) const REACH: usize = 600;
/// How much before the first phrase tells whether the text is about pages, in bytes.
const BEFORE: usize = 1000;

/// The phrases, in lower case; those of one row are one, for they come together. Each has two words, or four characters of Chinese or
/// Japanese, at its end that few other texts have: they tell the skim that it may be there.
pub(super) const PHRASES: [&[&str]; 62] = [
    &["leave a reply", "leave a comment", "log in to reply", "sign in to reply", "kommentar schreiben", "kommentar hinterlassen"],
    &["address will not be published", "required fields are marked"],
    &["add to cart", "add to basket", "add to bag", "add to wishlist", "view cart"],
    &[
        "customers who viewed",
        "customers who bought",
        "customers also bought",
        "frequently bought together",
        "kunden kauften auch",
    ],
    &[
        "rights reserved",
        "rechte vorbehalten",
        "droits réservés",
        "derechos reservados",
        "direitos reservados",
        "diritti riservati",
    ],
    &[
        "accept all cookies",
        "we use cookies",
        "cookies akzeptieren",
        "accepter les cookies",
        "aceptar cookies",
        "aceitar cookies",
    ],
    &["manage preferences", "our cookie policy", "enable javascript"],
    &["subscribe to our newsletter", "sign up for our newsletter", "newsletter abonnieren"],
    &["affiliate links", "affiliate commission"],
    &[
        "related articles",
        "related posts",
        "related questions",
        "articles similaires",
        "artículos relacionados",
        "artigos relacionados",
    ],
    &["share this article", "share this post", "share on facebook", "click to share", "tweet this", "partager sur facebook"],
    &["compartir en facebook", "compartilhe no facebook", "auf facebook teilen", "condividi su facebook"],
    &["posted by admin", "posted in uncategorized", "filed under", "this entry was posted", "view all posts"],
    &["thread closed", "thema geschlossen", "keine berechtigung", "originally posted by"],
    &["registriert seit", "members online", "mitglied seit"],
    &["skip to content", "skip to main content", "zum inhalt springen"],
    &["back to top", "print this page", "seite drucken", "retour en haut", "volver arriba"],
    &["jump to recipe", "pin recipe", "print recipe"],
    &["this article helpful", "this page helpful", "this answer helpful", "seite hilfreich", "vous a-t-elle été utile"],
    &["powered by wordpress", "proudly powered by"],
    &["interest-based ads", "your ad choices"],
    &["read more articles", "you might also like", "you may also like", "könnte sie auch interessieren", "à lire aussi"],
    &["in den warenkorb", "ajouter au panier", "añadir al carrito", "adicionar ao carrinho", "aggiungi al carrello"],
    &["zzgl. versandkosten", "free shipping on orders"],
    &["vorheriger beitrag", "nächster beitrag", "previous post", "next post", "article précédent", "article suivant"],
    &["mentions légales", "aviso legal"],
    &["plan du site", "mapa del sitio", "mapa do site"],
    &["vous êtes ici", "usted está aquí"],
    &["laisser un commentaire", "dejar un comentario", "deja un comentario", "deixe um comentário", "lascia un commento"],
    &["report this post", "report abuse"],
    &["flux rss", "rss feed"],
    &["lire la suite", "leia também", "leer también"],
    &["terms of use", "conditions of use", "terms of service"],
    &["</div></div>", "</div>\n</div>", "</div> </div>", "</div>\n\n</div>"],
    &["<div class=", "<div id="],
    &["<span class=", "<a href="],
    &["<script>\nvar", "<script type=", "<script src="],
    &["</body></html>", "</body>\n</html>"],
    &["&nbsp;&nbsp;"],
    &["この記事をシェア", "ツイートする"],
    &["コメントを残す", "コメントを投稿"],
    &["関連記事"],
    &["前の記事"],
    &["次の記事"],
    &["カートに入れる", "カートに追加"],
    &["無断転載"],
    &["スポンサーリンク", "あわせて読みたい"],
    &["人気記事"],
    &["この記事を書いた人"],
    &["トップへ戻る", "トップに戻る"],
    &["利用規約"],
    &["发表评论", "發表評論"],
    &["版权所有", "版權所有"],
    &["加入购物车", "加入購物車"],
    &["相关文章", "相關文章", "猜你喜欢"],
    &["责任编辑"],
    &["转载请注明"],
    &["返回顶部"],
    &["댓글 남기기"],
    &["장바구니 담기"],
    &["무단 전재", "재배포 금지"],
    &["관련 기사", "이전 글", "다음 글"],
];

/// Phrases that a text about pages has, and an answer about anything else as well.
const COMMON: [&str; 6] = ["terms of use", "conditions of use", "terms of service", "利用規約", "rss feed", "flux rss"];

static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| finder(PHRASES.iter().copied().flatten().copied()));

/// The row of each phrase.
static ROWS: LazyLock<Vec<usize>> =
    LazyLock::new(|| PHRASES.iter().enumerate().flat_map(|(row, phrases)| phrases.iter().map(move |_| row)).collect());

/// What is written where pages are made.
static PAGES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    finder([
        "footer",
        "button",
        "template",
        "website",
        "web page",
        "webpage",
        "web site",
        "banner",
        "html",
        "homepage",
        "home page",
        "landing page",
        "wireframe",
        "e-commerce",
        "checkout",
        "interface",
        "layout",
        "copy for",
        "microcopy",
        "menu",
        "plugin",
        "seo",
        "blog",
        "fußzeile",
        "webseite",
        "schaltfläche",
        "bouton",
        "pied de page",
        "site web",
        "sitio web",
        "página",
        "botón",
        "botão",
        "rodapé",
        "サイト",
        "ページ",
        "ボタン",
        "フッター",
        "ブログ",
        "网站",
        "页面",
        "按钮",
        "页脚",
        "웹",
        "페이지",
        "버튼",
        "사이트",
        "블로그",
    ])
});

fn finder<'p>(phrases: impl IntoIterator<Item = &'p str>) -> AhoCorasick {
    AhoCorasick::builder().ascii_case_insensitive(true).build(phrases).expect("constant words")
}

/// Several phrases of a page, close together.
pub(super) fn page(text: &str, prose: &Prose<'_>, seen: usize) -> Option<Symptom> {
    let from = floor_char_boundary(text, seen.saturating_sub(REACH)).max(prose.start());
    let mut found: Vec<(usize, Range<usize>)> = Vec::new();
    for phrase in FINDER.find_overlapping_iter(&text[from..]) {
        let range = from + phrase.start()..from + phrase.end();
        if is_whole(text, &range) && prose.part_at(range.start) == Part::Prose {
            found.push((phrase.pattern().as_usize(), range));
        }
    }
    let end = found.last()?.1.end;
    if end <= seen {
        return None;
    }
    let mut rows: Vec<(usize, bool)> = Vec::new();
    for (phrase, range) in &found {
        let common = COMMON.iter().any(|common| text[range.clone()].eq_ignore_ascii_case(common));
        match rows.iter_mut().find(|(row, _)| *row == ROWS[*phrase]) {
            Some((_, all_common)) => *all_common &= common,
            None => rows.push((ROWS[*phrase], common)),
        }
    }
    let rare = rows.iter().filter(|(_, common)| !common).count();
    let score = match (rare, rows.len()) {
        (2.., _) => 0.92,
        (1, 2..) => 0.6,
        _ => return None,
    };
    let first = found[0].1.start;
    let before = &text[ceil_char_boundary(text, first.saturating_sub(BEFORE))..first];
    // Source of a page that the answer is about, or announces.
    let source =
        text[first..].starts_with('<') && (before.trim().is_empty() || before.trim_end().ends_with([':', '：', '>', '`']));
    if source || PAGES.is_match(before) || PAGES.is_match(&text[..floor_char_boundary(text, first.min(BEFORE))]) {
        return None;
    }
    let what = format!("recites {} parts of a web page: {:?}", rows.len(), excerpt(&text[found[0].1.clone()]));
    Some(Symptom { score, range: first..end, what })
}

/// Whether a phrase begins and ends where words do.
fn is_whole(text: &str, range: &Range<usize>) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !is_character(c));
    let piece = &text[range.clone()];
    let (first, last) = (letter(piece.chars().next()), letter(piece.chars().next_back()));
    let cut = (first && letter(text[..range.start].chars().next_back())) || (last && letter(text[range.end..].chars().next()));
    !cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_phrase_holds_another() {
        let all: Vec<&str> = PHRASES.iter().copied().flatten().copied().collect();
        for phrase in &all {
            assert_eq!(*phrase, phrase.to_lowercase());
            assert_eq!(all.iter().filter(|other| phrase.contains(**other)).count(), 1, "{phrase}");
        }
    }
}
