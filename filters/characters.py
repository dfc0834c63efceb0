"""Classes of characters, counted for whole texts at once.

Texts are looked at as bytes of UTF-8 in a row; a table maps a code point to a set of classes. The
table covers planes 0 to 2 (code points below 0x30000; above are only private use, tags and rare Han) and is made once
per process from the interpreter's Unicode data, in about 0.1 s.
"""

from __future__ import annotations

import functools
import sys
import unicodedata

import numpy as np

from plait.filters.chunks import Utf8

ALPHA = 1 << 0  # str.isalpha
UPPER = 1 << 1  # str.isupper
DIGIT = 1 << 2  # decimal digits (category Nd)
SPACE = 1 << 3  # str.isspace
PUNCTUATION = 1 << 4  # categories P*
SYMBOL = 1 << 5  # categories S*
HAN = 1 << 6  # Chinese characters
UNSPACED = 1 << 7  # letters and marks of scripts without spaces between words, Han and kana included
LATIN = 1 << 8
MARK = 1 << 9  # combining marks: categories Mn, Mc
SIMPLIFIED = 1 << 10  # frequent Chinese characters that exist only as simplified forms
TRADITIONAL = 1 << 11  # and the traditional characters that they stand for

_COVERED = 0x30000
_UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),
    (0x20000, 0x2FFFF),
)
_HAN_RANGES = ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FFFF))
_LATIN_RANGES = (
    (0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x2B8), (0x1E00, 0x1EFF),
    (0x2C60, 0x2C7F), (0xA722, 0xA7FF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A),
)  # fmt: skip

# Simplified and traditional forms by turns; the choice of 392 frequent pairs is ours.
_PAIRS = (
    "们們个個来來为為这這说說国國时時会會对對学學问問发發经經过過还還进進现現实實开開关關门門见見长長东東车車马馬"
    "鸟鳥鱼魚龙龍风風飞飛电電话話语語读讀书書写寫让讓认認识識请請谁誰谢謝谈談试試该該课課议議论論设設计計许許诉訴"
    "证證评評译譯词詞诗詩误誤调調财財责責货貨质質贵貴费費资資农農业業产產义義乐樂买買卖賣争爭亚亞亲親亿億仅僅从從"
    "价價众眾优優传傳伤傷体體儿兒兴興养養军軍决決击擊则則刚剛创創办辦务務动動劳勞势勢华華协協单單卫衛历歷压壓厅廳"
    "厂廠县縣双雙变變号號听聽启啟员員响響团團园園围圍图圖圆圓圣聖场場坏壞块塊坚堅声聲处處备備够夠头頭夺奪奋奮妇婦"
    "妈媽孙孫宁寧宝寶审審宽寬宾賓寻尋导導将將尔爾尽盡层層岁歲岛島币幣师師帐帳帮幫带帶广廣庆慶库庫应應庙廟张張强強"
    "归歸录錄彻徹总總恋戀恶惡惊驚愿願战戰户戶扩擴扫掃扬揚报報抢搶护護拥擁择擇挥揮损損换換据據摄攝敌敵数數断斷旧舊"
    "显顯晓曉术術机機权權条條极極构構标標样樣桥橋检檢楼樓欢歡欧歐残殘毕畢气氣汉漢汤湯沟溝没沒泪淚泽澤洁潔济濟浅淺"
    "测測浓濃涛濤润潤渔漁湾灣满滿滚滾灭滅灯燈灵靈灾災炉爐点點烂爛热熱爱愛爷爺犹猶独獨狮獅猎獵猫貓环環疗療盐鹽监監"
    "盖蓋盘盤码碼确確礼禮离離种種积積称稱稳穩穷窮竞競笔筆签簽简簡类類粮糧紧緊红紅级級纪紀纯純纸紙线線练練组組细細"
    "织織终終绍紹结結给給络絡绝絕统統继繼绩績续續维維绿綠编編缘緣网網罗羅罚罰职職联聯脑腦脚腳脸臉艺藝节節苏蘇药藥"
    "获獲营營虑慮虽雖补補装裝视視觉覺规規观觀订訂讨討记記讲講访訪诊診详詳谓謂贡貢败敗贸貿贺賀赛賽赞贊趋趨跃躍轮輪"
    "软軟转轉轻輕载載较較输輸辑輯边邊达達迁遷运運违違连連迟遲选選递遞遗遺邮郵郑鄭释釋针針钟鐘钢鋼钱錢铁鐵银銀"
    "错錯锁鎖键鍵镇鎮闭閉间間闻聞阅閱队隊阳陽阴陰阵陣际際陆陸陈陳险險随隨隐隱难難雾霧静靜页頁顶頂项項顺順须須预預"
    "领領频頻题題颜顏额額饭飯饮飲馆館驾駕验驗鲜鮮麦麥黄黃齐齊齿齒"
)


@functools.cache
def table() -> np.ndarray:
    """Classes of every code point below 0x30000, as uint16 sets of the flags above; the last stands for the rest."""
    flags = np.zeros(_COVERED + 1, np.uint16)
    by_category = {"N": 0, "P": PUNCTUATION, "S": SYMBOL, "C": 0, "Z": 0, "L": 0, "M": MARK}
    for code in range(_COVERED):
        char = chr(code)
        category = unicodedata.category(char)
        value = by_category[category[0]]
        if category == "Nd":
            value |= DIGIT
        if category[0] == "L":
            value |= ALPHA
        if char.isupper():
            value |= UPPER
        if char.isspace():
            value |= SPACE
        flags[code] = value
    for ranges, flag in ((_UNSPACED_RANGES, UNSPACED), (_HAN_RANGES, HAN), (_LATIN_RANGES, LATIN)):
        for low, high in ranges:
            flags[low : high + 1] |= flag
    for flag, forms in ((SIMPLIFIED, _PAIRS[::2]), (TRADITIONAL, _PAIRS[1::2])):
        flags[[ord(char) for char in forms]] |= flag
    flags[_COVERED] = ALPHA | UNSPACED | HAN  # planes 3: rare Han
    return flags


def code_points(text: str) -> np.ndarray:
    """The text as uint32 code points; lone surrogates stay what they are."""
    order = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"
    return np.frombuffer(text.encode(order, "surrogatepass"), np.uint32)


_PIECE = 1023  # bytes; the counts of a piece fit into ten bits
_FIELDS = 6  # counts of ten bits in one 64-bit number: a group of classes that is counted together


@functools.cache
def _packed(group: int) -> np.ndarray:
    """For every code point, its classes of a group as ones in fields of ten bits."""
    flags = table()
    packed = np.zeros(len(flags), np.uint64)
    for field in range(_FIELDS):
        packed |= ((flags >> (group * _FIELDS + field)) & 1).astype(np.uint64) << np.uint64(10 * field)
    return packed


@functools.cache
def _packed_ascii(group: int) -> np.ndarray:
    """The same for every byte of UTF-8, nothing for those of other characters."""
    return np.where(np.arange(256) < 0x80, _packed(group)[:256], np.uint64(0))


def _beyond_ascii(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a character beyond ASCII begins in UTF-8, and its code point."""
    begins = np.flatnonzero(data >= 0xC0)
    lead = data[begins].astype(np.int64)
    size = 2 + (lead >= 0xE0) + (lead >= 0xF0)
    point = lead & (0x7F >> size)
    for step in range(1, 4):
        longer = np.flatnonzero(size > step)
        point[longer] = point[longer] << 6 | data[begins[longer] + step] & 0x3F
    return begins, point


def group_of(flag: int) -> tuple[int, int]:
    """The group of classes that one is counted with, and its place there."""
    return divmod(flag.bit_length() - 1, _FIELDS)


def class_counts(texts: Utf8, group: int) -> np.ndarray:
    """How many characters of each class of a group every text has: int64 (texts, classes of the group).

    Cost: about 3 ns per byte. The counts are added up at once, in fields of one number, over pieces of at most 1,023
    bytes, each character at its first.
    """
    data, bounds = texts
    lengths = np.diff(bounds).astype(np.int64)
    counts = np.zeros((len(lengths), _FIELDS), np.int64)
    full = np.flatnonzero(lengths)
    if not len(full):
        return counts
    values = _packed_ascii(group)[data]
    begins, points = _beyond_ascii(data)
    values[begins] = _packed(group)[np.minimum(points, _COVERED)]
    pieces = -(-lengths[full] // _PIECE)
    first = np.cumsum(pieces) - pieces
    within = np.arange(int(pieces.sum())) - np.repeat(first, pieces)
    sums = np.add.reduceat(values, np.repeat(bounds[:-1][full], pieces) + within * _PIECE)
    for field in range(_FIELDS):
        part = ((sums >> np.uint64(10 * field)) & np.uint64(1023)).astype(np.int64)
        counts[full, field] = np.add.reduceat(part, first)
    return counts
