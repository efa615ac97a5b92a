from featlab.battles import ARENA as ARENA
from featlab.battles import WSDM as WSDM
from featlab.battles import BattleSchema as BattleSchema
from featlab.battles import LabelColumn as LabelColumn
from featlab.battles import OneHotColumns as OneHotColumns
from featlab.battles import read_battles as read_battles
from featlab.battles import swap_battles as swap_battles
from featlab.columns import Column as Column
from featlab.columns import Kind as Kind
from featlab.encoder import EncoderSpec as EncoderSpec
from featlab.features import FEATURES as FEATURES
from featlab.features import BattleColumns as BattleColumns
from featlab.features import Feature as Feature
from featlab.features import feature_table as feature_table
from featlab.parity import Parity as Parity
from featlab.parity import swap as swap
from featlab.signals import Context as Context
from featlab.signals import Cost as Cost
from featlab.signals import Need as Need
from featlab.signals import Outcomes as Outcomes
from featlab.signals import Signal as Signal
from featlab.signals import State as State
from featlab.transformers import BattleFeatures as BattleFeatures
from featlab.transformers import PairFeatures as PairFeatures
from featlab.transformers import TextFeatures as TextFeatures
from featlab.transformers.embedder import TextEmbedder as TextEmbedder

__version__: str
