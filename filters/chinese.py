"""Chinese text: scripts, punctuation, boilerplate and contact phrases.

OmniCorpus' forty Chinese rules were never released; what its paper names (boilerplate, adverts, contact lines,
traditional characters) is measured here, with phrase lists of our own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from plait.filters import characters
from plait.filters.batch import TextBatch, ratio
from plait.filters.score import Score, of_text

_FURNITURE = re.compile(
    "责任编辑|责编|扫一扫|扫描二维码|长按识别|点击(?:查看|进入|阅读|关注|上方|下方)|阅读原文|阅读全文|查看更多|返回(?:顶部|首页|列表)"
    "|上一篇|下一篇|上一页|下一页|相关(?:阅读|推荐|文章|新闻)|热门(?:推荐|文章)|猜你喜欢|分享(?:到|至)|版权(?:所有|声明)|未经授权|转载请注明"
    "|本文来源|文章来源|免责声明|网站地图|友情链接|关于我们|联系我们|投稿邮箱|ICP备|備案|責任編輯|掃一掃|版權(?:所有|聲明)|轉載|下一頁|上一頁"
)
_CONTACT = re.compile(
    "微信号?[:：]|加微信|加我微信|公众号|公眾號|QQ群?[:：]?\\s*\\d{5,}|加群|客服(?:电话|热线|QQ)|咨询(?:电话|热线)|热线电话|联系电话|订购热线"
    "|手机[:：]|电话[:：]|傳真|传真[:：]|1[3-9]\\d{9}|400-?\\d{3}-?\\d{4}"
)
_ADVERT = re.compile(
    "优惠(?:券|价)|限时(?:抢购|优惠|特价)|包邮|秒杀|领取(?:红包|优惠)|免费(?:领取|试用|咨询|送)|立即(?:购买|下载|注册|咨询|抢购)|点击购买|代理加盟|招商加盟"
    "|日赚|月入过万|贷款|博彩|彩票平台|娱乐城|代孕|代开发票|办证"
)
_STOPS = "。！？；…：，、"


def _hits(lines: Sequence[str], pattern: re.Pattern[str]) -> list[bool]:
    return [not line.isascii() and pattern.search(line) is not None for line in lines]


def zh_furniture(text: TextBatch) -> np.ndarray:
    """Whether the text has Chinese boilerplate: 责任编辑, 扫一扫, 上一篇, 版权所有, 相关阅读."""
    return text.count_lines(_hits(text.lines.texts, _FURNITURE)) > 0


def zh_contact(text: TextBatch) -> np.ndarray:
    """Whether the text gives contact details in Chinese: 微信号, QQ, 客服电话, a mobile number."""
    return text.count_lines(_hits(text.lines.texts, _CONTACT)) > 0


def zh_advert(text: TextBatch) -> np.ndarray:
    """Whether the text advertises in Chinese: 优惠券, 包邮, 立即购买, 贷款, 博彩."""
    return text.count_lines(_hits(text.lines.texts, _ADVERT)) > 0


def zh_mark_ratio(text: TextBatch) -> np.ndarray:
    """Chinese stops and commas (。！？；…：，、) per Chinese character; running text has 0.05 to 0.2."""
    counts = (sum(map(line.count, _STOPS)) if not line.isascii() else 0 for line in text.lines.texts)
    marks = text.total(np.fromiter(counts, np.int64, len(text.lines.texts)))
    return ratio(marks, text.of_class(characters.HAN))


def traditional_ratio(text: TextBatch) -> np.ndarray:
    """Traditional characters among the Chinese characters that tell, 0 to 1; null where none tells.

    Those that tell are 392 frequent characters whose simplified form differs, and those forms.
    """
    traditional = text.of_class(characters.TRADITIONAL)
    return ratio(traditional, traditional + text.of_class(characters.SIMPLIFIED))


SCORES: tuple[Score, ...] = (
    *(of_text(function, pa.bool_()) for function in (zh_furniture, zh_contact, zh_advert)),
    of_text(zh_mark_ratio, pa.float64(), ("node", "document")),
    of_text(traditional_ratio, pa.float64(), ("node", "document")),
)
