"""The network families that can be converted, one table each."""

from gcp_mm.conversion.families.convnext import CONVNEXT
from gcp_mm.conversion.families.efficientnet_lite import EFFICIENTNET_LITE
from gcp_mm.conversion.families.family import CovarianceForm, Family
from gcp_mm.conversion.families.mobilenet_v2 import MOBILENET_V2
from gcp_mm.conversion.families.resnet import RESNET
from gcp_mm.conversion.families.shufflenet_v2 import SHUFFLENET_V2
from gcp_mm.conversion.families.swin_transformer import SWIN_TRANSFORMER
from gcp_mm.conversion.families.vision_transformer import VISION_TRANSFORMER

FAMILIES = (
    RESNET,
    MOBILENET_V2,
    SHUFFLENET_V2,
    EFFICIENTNET_LITE,
    CONVNEXT,
    SWIN_TRANSFORMER,
    VISION_TRANSFORMER,
)
FAMILY_OF = {network: family for family in FAMILIES for network in family.backbones}

__all__ = ["FAMILIES", "FAMILY_OF", "CovarianceForm", "Family"]
